"""Building one environment twice, and what differs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envbox import lock as locks
from envbox.store import manifest
from envbox.store.store import Store
from envbox.store.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.identity.conditions import Conditions
    from envbox.lock import Lock
    from envbox.store.manifest import Entry
    from envbox.values import Digest

_DIGESTS = re.compile(r"^(unpacked|configured) = .*\n", re.MULTILINE)


_ERROR = "\nerror: "


class NotBuilt(Exception):
    """What envbox said when it did not build."""


@dataclass(frozen=True)
class Build:
    """A locked and built environment, with the store that has it."""

    store: Path
    lock: Lock
    lock_text: str
    seconds: float

    @property
    def digests(self) -> list[Digest]:
        """Of its layers, the lowest first."""
        layers = (digest for group in self.lock.groups for digest in (group.unpacked, group.configured))
        return [digest for digest in layers if digest]

    def entries(self, digest: Digest) -> list[Entry]:
        """The manifest of a layer."""
        return manifest.read(str(self.store / "layers-v1" / digest.hex))

    def view(self) -> View:
        """What the environment shows."""
        return View(self.entries(digest) for digest in self.digests)

    def file(self, path: str) -> Path:
        """Where the content of a file of the environment is, in the highest layer that has it."""
        trees = [self.store / "layers-v1" / digest.hex / "tree" for digest in reversed(self.digests)]
        return next((tree / path for tree in trees if os.path.lexists(tree / path)), trees[0] / path)

    def text(self, path: str) -> str:
        """Of a file of the environment, empty if there is none."""
        return self.file(path).read_text(encoding="utf-8") if self.file(path).is_file() else ""


class Artifacts:
    """Downloaded once, and linked to by every store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def lend(self, store: Path) -> None:
        """Have the artifacts in a new store."""
        for entry in (entry for entry in os.scandir(self._folder) if "." not in entry.name):
            (store / "blobs/sha256" / entry.name).symlink_to(entry.path)

    def take(self, store: Path) -> None:
        """Keep what the store downloaded."""
        for entry in list(os.scandir(store / "blobs/sha256")):
            if not entry.is_symlink() and "." not in entry.name:
                kept = self._folder / entry.name
                temporary = kept.with_suffix(f".{os.getpid()}")
                shutil.copyfile(entry.path, temporary)
                temporary.chmod(0o644)
                temporary.rename(kept)
                os.unlink(entry.path)
                os.symlink(kept, entry.path)


def build(conditions: Conditions, spec: str, artifacts: Artifacts, lock: str = "") -> Build:
    """Lock and build `spec` under the conditions in a new store, or build what is locked. Raises NotBuilt."""
    project, store = conditions.parent / "project", conditions.parent / "store"
    project.mkdir()
    (project / "envbox.toml").write_text(spec, encoding="utf-8")
    if lock:  # without digests, so that what differs is built to its end, and compared here
        (project / "envbox.lock").write_text(_DIGESTS.sub("", lock), encoding="utf-8")
    Store(str(store)).prepare()
    artifacts.lend(store)
    conditions.person.own(conditions.parent)
    began = time.monotonic()
    done = subprocess.run(
        conditions.command("build" if lock else "lock"),
        cwd=project,
        env=conditions.environment(store),
        umask=conditions.umask,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise NotBuilt(f"status {done.returncode}:\n{done.stderr[done.stderr.rfind(_ERROR) :].strip()}")
    artifacts.take(store)
    path = project / "envbox.lock"
    return Build(store, locks.load(str(path)), path.read_text(encoding="utf-8"), seconds)


def differences(first: Build, second: Build) -> dict[str, str]:
    """Path -> how it differs, in any layer."""
    found: dict[str, str] = {}
    for one, other in zip(first.digests, second.digests, strict=True):
        if one != other:
            found.update(_between(first.entries(one), second.entries(other)))
    return found


def _between(expected: Sequence[Entry], found: Sequence[Entry]) -> dict[str, str]:
    before, after = {e.path: e for e in expected}, {e.path: e for e in found}
    return {
        path: _words(before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    }


def _words(before: Entry | None, after: Entry | None) -> str:
    if before is None or after is None:
        return "only in the second" if before is None else "only in the first"
    names = [name for name in before._fields if getattr(before, name) != getattr(after, name)]
    return "other " + ", ".join("content" if name == "digest" else name for name in names)
