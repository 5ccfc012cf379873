"""Lock and what is present -> Plan: which layers to reuse and which to build. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from envbox.lock import ArchiveState, BuildStep, LibrarySet, Lock
    from envbox.values import Artifact, Digest

RECIPE = 2
"""The rules by which layers are made. Any change that gives other bytes from the same artifacts raises it."""


@dataclass(frozen=True)
class Step:
    """One layer. `key` stands for all that goes into it; `recorded` is the lock's digest, `present` the store's."""

    kind: str
    """`unpacked`, `configured`, `library` or `step`."""
    index: int
    """Which of the lock's groups, of its library sets or of its steps."""
    name: str
    key: str
    recorded: Digest | None
    present: Digest | None

    @property
    def is_kept(self) -> bool:
        """True if the layer is here, and is the one that the lock promises."""
        return self.present is not None and self.recorded in {None, self.present}

    @property
    def action(self) -> str:
        """`reuse` or `build`."""
        return "reuse" if self.present else "build"

    @property
    def title(self) -> str:
        """For people."""
        titles = {"library": f"{self.name} libraries", "step": f"step {self.name}"}
        return titles.get(self.kind, f"{self.name}, {self.kind}")


@dataclass(frozen=True)
class Plan:
    """The layers of a root file system, the lowest first."""

    steps: tuple[Step, ...]

    @property
    def to_build(self) -> tuple[Step, ...]:
        """The layers that are missing."""
        return tuple(step for step in self.steps if not step.present)


def make_plan(lock: Lock, made_from: Callable[[str], Digest | None], has: Callable[[Digest], bool]) -> Plan:
    """What has to be done to have the lock's layers.

    `made_from` tells what a key gave in this store; `has`, for keys that it does not know, whether a layer is there.
    """

    def present(key: str, recorded: Digest | None) -> Digest | None:
        made = made_from(key)
        return recorded if made is None and recorded and has(recorded) else made

    return Plan(tuple(replace(step, present=present(step.key, step.recorded)) for step in _steps(lock)))


def layers_of(lock: Lock) -> tuple[Step, ...]:
    """The lock's layers, the lowest first, whatever is present."""
    return tuple(_steps(lock))


def recorded_layers(lock: Lock) -> dict[str, Digest]:
    """The digest that the lock records for each key."""
    return {step.key: step.recorded for step in _steps(lock) if step.recorded}


def with_recorded(lock: Lock, known: Mapping[str, Digest]) -> Lock:
    """The lock with the digests that are `known` for its keys, and no others."""
    found = {(step.kind, step.index): known.get(step.key) for step in _steps(lock)}
    return replace(
        lock,
        groups=tuple(
            replace(group, unpacked=found["unpacked", i], configured=found["configured", i])
            for i, group in enumerate(lock.groups)
        ),
        libraries=tuple(replace(libraries, layer=found["library", i]) for i, libraries in enumerate(lock.libraries)),
        steps=tuple(replace(step, layer=found["step", i]) for i, step in enumerate(lock.steps)),
    )


def without_digests(lock: Lock) -> Lock:
    """The lock before anything of it was built."""
    return with_recorded(lock, {})


def _steps(lock: Lock) -> Iterator[Step]:
    parent = ""
    for index, group in enumerate(lock.groups):
        for kind, recorded in (("unpacked", group.unpacked), ("configured", group.configured)):
            parent = _group_key(lock, index, kind, parent)
            yield Step(kind, index, group.name, parent, recorded, None)
    below = [parent]
    for index, libraries in enumerate(lock.libraries):
        key = _library_key(lock, libraries)
        below.append(key)
        yield Step("library", index, libraries.language, key, libraries.layer, None)
    for index, step in enumerate(lock.steps):
        key = _step_key(lock, step, below)
        below = [key]
        yield Step("step", index, step.name, key, step.layer, None)


def repositories_of(lock: Lock, index: int) -> tuple[ArchiveState, ...]:
    """The repositories that a group makes known to the root's own manager: the first above the base has all of them.

    Not the base: every project shares that, whatever repositories it has.
    """
    return tuple(state for state in lock.archives if state.key) if index == 1 else ()


def _group_key(lock: Lock, index: int, kind: str, parent: str) -> str:
    # A layer's content is a function of these inputs, so the parent's key serves as well as its digest, so long as
    # a key is remembered only for what was built here above layers that their own keys gave: a lock may lie.
    group, own = lock.groups[index], {}
    if kind == "configured":
        own = {"epoch": lock.epoch, "requested": sorted(group.requested)}
        known = [[it.name, it.url, it.suite, it.components, it.key] for it in repositories_of(lock, index)]
        own |= {"repositories": known} if known else {}
    return _key(lock, {"kind": kind, "parent": parent, "artifacts": _digests(group.artifacts), **own})


def _library_key(lock: Lock, libraries: LibrarySet) -> str:
    # Not all packages below nor the archive's date: adding one must not install every library again. Those of the
    # interpreter, which compiles them.
    interpreter = f"python{libraries.interpreter}", f"libpython{libraries.interpreter}"
    below = [a for group in lock.groups for a in group.artifacts if a.name.startswith(interpreter)]
    inputs = {
        "kind": "library",
        "compiler": _digests(tuple(a for a in below if a.name.endswith("-minimal"))),
        "language": libraries.language,
        "interpreter": libraries.interpreter,
        "tools": _digests(libraries.tools),
        "artifacts": _digests(libraries.artifacts),
    }
    return _key(lock, inputs)


def _step_key(lock: Lock, step: BuildStep, below: Sequence[str]) -> str:
    inputs = [[part.name, part.is_folder, str(part.digest)] for part in step.inputs]
    return _key(lock, {"kind": "step", "below": list(below), "epoch": lock.epoch, "run": step.run, "inputs": inputs})


def _digests(artifacts: tuple[Artifact, ...]) -> list[str]:
    return sorted(f"{artifact.name} {artifact.digest}" for artifact in artifacts)


def _key(lock: Lock, inputs: Mapping[str, object]) -> str:
    common = {"recipe": lock.recipe, "architecture": lock.architecture.value, "base": lock.request.base}
    text = json.dumps({**common, **inputs}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
