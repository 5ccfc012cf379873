"""envbox.lock: Lock <-> text, and where it disagrees with a spec. No solving."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import fields
from typing import TYPE_CHECKING

from envbox.errors import LockInvalid
from envbox.lock.reading import FORMAT, loads
from envbox.lock.values import ArchiveIndex, ArchiveState, BuildStep, Group, LibrarySet, Lock, Request, StepInput
from envbox.lock.writing import dumps
from envbox.spec import Repository

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbox.spec import Spec
    from envbox.spec import StepInput as WantedInput

__all__ = [
    "FORMAT",
    "ArchiveIndex",
    "ArchiveState",
    "BuildStep",
    "Group",
    "LibrarySet",
    "Lock",
    "Request",
    "StepInput",
    "by_name",
    "dumps",
    "load",
    "loads",
    "mismatches",
    "request_of",
]

_NAME = re.compile(r"[^\s=<>!~;@\[(]+")


def load(path: str) -> Lock:
    """Read the lock at `path`. Raises LockInvalid."""
    name = os.path.basename(path)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        raise LockInvalid(f"there is no {path}", hint="Run `envbox lock` to write it.") from None
    except OSError as error:
        raise LockInvalid(f"{path} cannot be read: {error.strerror}", hint="Make it a readable file.") from None
    except UnicodeDecodeError as error:
        raise LockInvalid(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}",
            hint=f"Take {name} back from version control, or delete it and run `envbox lock`.",
        ) from None
    return loads(text, file=name)


def request_of(spec: Spec) -> Request:
    """What of a spec the lock records. The order in which things were asked for is not part of it."""
    python = spec.python
    return Request(
        base=str(spec.base),
        packages=tuple(sorted(map(str, spec.packages))),
        python=tuple(sorted(set(python.requirements))) if python else (),
        python_index=python.index if python else "",
        mirror=spec.base.mirror,
        security_mirror=spec.base.security_mirror,
        key=spec.base.key,
        snapshot=spec.base.snapshot,
        snapshot_mirror=spec.base.snapshot_mirror,
        repositories=spec.repositories,
    )


def mismatches(lock: Lock, spec: Spec) -> tuple[str, ...]:
    """Where they disagree, each as a sentence; empty: they agree."""
    wanted, locked = request_of(spec), lock.request
    values = (
        ("base", wanted.base, locked.base),
        ("base.mirror", wanted.mirror, locked.mirror),
        ("base.security-mirror", wanted.security_mirror, locked.security_mirror),
        ("base.key", wanted.key, locked.key),
        ("base.snapshot", wanted.snapshot, locked.snapshot),
        ("base.snapshot-mirror", wanted.snapshot_mirror, locked.snapshot_mirror),
        ("libraries.python-index", wanted.python_index, locked.python_index),
    )
    differences = [_difference(key, (new,) if new else (), (old,) if old else ()) for key, new, old in values]
    for key, new, old in (
        ("packages", wanted.packages, locked.packages),
        ("libraries.python", wanted.python, locked.python),
    ):
        now, before = by_name(new), by_name(old)
        names = sorted(now.keys() | before.keys())
        differences += [_difference(key, now[name], before[name]) for name in names]
    differences += _step_differences(lock, spec)
    differences += _repository_differences(wanted.repositories, locked.repositories)
    return tuple(difference for difference in differences if difference)


def _step_differences(lock: Lock, spec: Spec) -> list[str]:
    """What the project's files hold is not compared here: see `envbox.inputs`."""
    wanted = {step.name: (step.run, tuple(sorted(map(_place_of, step.inputs)))) for step in spec.steps}
    locked = {
        step.name: (step.run, tuple(sorted((i.name, i.source.rstrip("/"), _promised(i)) for i in step.inputs)))
        for step in lock.steps
    }
    found = []
    for name in sorted(wanted.keys() | locked.keys()):
        if name not in locked or name not in wanted:
            found.append(_difference("step", (name,) if name in wanted else (), (name,) if name in locked else ()))
        elif wanted[name] != locked[name]:
            what = "run" if wanted[name][0] != locked[name][0] else "inputs"
            found.append(f"step.{what}: that of step {name} is another in envbox.toml than in envbox.lock")
    if not found and tuple(wanted) != tuple(locked):
        found.append("step: the steps are in another order in envbox.toml than in envbox.lock")
    return found


def _place_of(wanted: WantedInput) -> tuple[str, str, str]:
    return wanted.name, (wanted.url or wanted.path).rstrip("/"), str(wanted.digest or "")


def _promised(locked: StepInput) -> str:
    return str(locked.digest) if locked.is_remote else ""


def _repository_differences(wanted: Iterable[Repository], locked: Iterable[Repository]) -> list[str]:
    now, before = ({repository.name: repository for repository in some} for some in (wanted, locked))
    found = []
    for name in sorted(now.keys() | before.keys()):
        if name not in now or name not in before:
            found.append(_difference("repository", (name,) if name in now else (), (name,) if name in before else ()))
            continue
        for field in fields(Repository):
            new, old = (_words(getattr(some[name], field.name)) for some in (now, before))
            found.append(_difference(f"repository {name}, {field.name}", new, old))
    return found


def _words(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def by_name(requests: Iterable[str]) -> defaultdict[str, tuple[str, ...]]:
    """Requests by the package they are for; a library may be asked for once per marker."""
    found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for request in sorted(set(requests)):
        name = _NAME.match(request)
        found[name[0] if name else request] += (request,)
    return found


def _difference(key: str, wanted: tuple[str, ...], locked: tuple[str, ...]) -> str:
    new, old = " and ".join(wanted), " and ".join(locked)
    if new == old:
        return ""
    if not old:
        return f"{key}: {new} is in envbox.toml, not in envbox.lock"
    if not new:
        return f"{key}: {old} is in envbox.lock, not in envbox.toml"
    return f"{key}: {new} in envbox.toml, {old} in envbox.lock"
