"""What a step works on: fetched by hash, or copied out of the project and hashed; kept as blobs of the store."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from envbox.errors import LockStale, SpecInvalid
from envbox.fingerprint import fingerprint
from envbox.formats import tar
from envbox.lock import BuildStep, StepInput
from envbox.store.tree_writer import TreeWriter
from envbox.values import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from envbox.lock import Lock
    from envbox.spec import Step
    from envbox.spec import StepInput as WantedInput
    from envbox.store.blobs import Blobs
    from envbox.workshop import Workshop

_BLOCK = 1 << 20


def lock_steps(steps: Sequence[Step], folder: str, workshop: Workshop) -> tuple[BuildStep, ...]:
    """The steps of a spec with all that they work on in the store. `folder` is the project's.

    Raises SpecInvalid where the project has no such file, NetworkFailed, ArtifactMismatch.
    """
    return tuple(
        BuildStep(step.name, step.run, tuple(_locked(step.name, wanted, folder, workshop) for wanted in step.inputs))
        for step in steps
    )


def provide(lock: Lock, folder: str, workshop: Workshop) -> None:
    """Have what the steps take from the project in the store. Raises LockStale where it is not what was locked."""
    for step in lock.steps:
        for locked in step.inputs:
            if locked.is_remote:
                continue
            found = _of_project(step.name, locked.name, locked.source.rstrip("/"), folder, workshop)
            if found != locked:
                raise LockStale(
                    f"envbox.lock is out of date:\n  step {step.name}: {locked.source} is not what was locked",
                    hint="run `envbox lock` to record what it is now",
                )


def fingerprints(steps: Sequence[Step], folder: str) -> tuple[tuple[str, object], ...]:
    """The paths that steps take from the project, each with its `fingerprint`; None where it cannot be read."""
    paths = sorted({part.path for step in steps for part in step.inputs if part.path})
    return tuple((path, _fingerprint(os.path.join(folder, path))) for path in paths)


def _fingerprint(path: str) -> object:
    try:
        return fingerprint(path)
    except OSError:
        return None


def downloads(step: BuildStep) -> tuple[Artifact, ...]:
    """What has to be downloaded for a step."""
    return tuple(_artifact(part) for part in step.inputs if part.is_remote)


def lay_out(step: BuildStep, place: str, blobs: Blobs, epoch: int) -> list[tuple[str, str]]:
    """Put what a step works on into the folder `place`; returns (name, path on the host) of each.

    Whatever put the bytes into the store, and when: every file has the time `epoch`, and may be executed.
    """
    found = []
    for part in step.inputs:
        path = os.path.join(place, part.name)
        if part.is_folder:
            _unpack(blobs.read(part.digest, part.name), path, part.name, epoch)
        else:
            blobs.check(part.digest, part.name)
            shutil.copyfile(blobs.path(part.digest), path)
            os.chmod(path, 0o755)
            os.utime(path, (epoch, epoch))
        found.append((part.name, path))
    return found


def _locked(step: str, wanted: WantedInput, folder: str, workshop: Workshop) -> StepInput:
    if not wanted.digest:
        return _of_project(step, wanted.name, wanted.path, folder, workshop)
    remote = StepInput(wanted.name, wanted.url, -1, wanted.digest)
    workshop.fetch([_artifact(remote)], None, lambda _artifact: None)
    return replace(remote, size=os.path.getsize(workshop.blobs.path(wanted.digest)))


def _artifact(part: StepInput) -> Artifact:
    return Artifact(part.name, "", part.source, part.size, part.digest)


def _of_project(step: str, name: str, path: str, folder: str, workshop: Workshop) -> StepInput:
    full = os.path.realpath(os.path.join(folder, path))
    about = f"envbox.toml: step {step}: {path}"
    if not full.startswith(f"{os.path.realpath(folder)}/"):
        raise SpecInvalid(f"{about} leads out of the project", hint="put a file, not a link, there")
    try:
        is_folder = stat.S_ISDIR(os.stat(full).st_mode)
        digest, size = workshop.blobs.put_parts(_packed(full) if is_folder else _content(full))
    except _Changing as changing:
        raise SpecInvalid(f"{about}: {changing} changes while it is read", hint="run the same command again") from None
    except OSError as error:
        if error.filename is None or not str(error.filename).startswith(full):
            raise
        raise SpecInvalid(
            f"{about} cannot be read: {error.strerror}", hint="put the file there, or correct `inputs`"
        ) from error
    return StepInput(name, f"{path}/" if is_folder else path, size, digest)


class _Changing(Exception):
    """Somebody writes to the file named."""


def _content(path: str) -> Iterator[bytes]:
    """The bytes of a regular file, as many as it has at the start."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is neither a file nor a folder", path)
        left = status.st_size
        while block := file.read(min(_BLOCK, left)):
            left -= len(block)
            yield block
        if left or os.fstat(descriptor).st_size != status.st_size:
            raise _Changing(path)


def _packed(folder: str) -> Iterator[bytes]:
    """The canonical tar of a project's folder: of modes only what version control keeps, and no times."""
    yield tar.pack(_member("", "directory", 0o755), 0)
    pending = [""]
    while pending:
        inner = pending.pop()
        for name in sorted(os.listdir(os.path.join(folder, inner)), key=os.fsencode):
            path = f"{inner}/{name}" if inner else name
            full = os.path.join(folder, path)
            status = os.lstat(full)
            if stat.S_ISDIR(status.st_mode):
                yield tar.pack(_member(path, "directory", 0o755), 0)
                pending.append(path)
            elif stat.S_ISLNK(status.st_mode):
                yield tar.pack(_member(path, "symlink", 0o777, os.readlink(full)), 0)
            else:
                mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
                yield tar.pack(_member(path, "file", mode), status.st_size)
                yield from _exactly(status.st_size, full)
                yield tar.padding(status.st_size)
    yield tar.END


def _exactly(size: int, path: str) -> Iterator[bytes]:
    left = size
    for block in _content(path):
        left -= len(block)
        yield block
    if left:
        raise _Changing(path)


def _member(path: str, kind: str, mode: int, target: str = "") -> tar.Member:
    return tar.Member(path, kind, mode, 0, 0, 0, target, memoryview(b""), (), (0, 0))


def _unpack(data: bytes, place: str, name: str, epoch: int) -> None:
    os.mkdir(place)
    writer = TreeWriter(place, name, lambda path, _kind: path)
    for member in tar.read(data):
        writer.add(member._replace(mtime=epoch))
    writer.finish()
