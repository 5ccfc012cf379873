"""Lock and what is present -> Plan: which layers to reuse and which to build. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envbox.lock import Group, LibrarySet, Lock
    from envbox.values import Artifact, Digest

RECIPE = 1
"""The rules by which layers are made. Any change that gives other bytes from the same artifacts raises it."""


@dataclass(frozen=True)
class Step:
    """One layer. `key` stands for all that goes into it; `recorded` is the lock's digest, `present` the store's."""

    kind: str
    """`unpacked`, `configured` or `library`."""
    index: int
    """Which of the lock's groups, or of its library sets."""
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
        return f"{self.name} libraries" if self.kind == "library" else f"{self.name}, {self.kind}"


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

    steps: list[Step] = []
    parent = ""
    for index, group in enumerate(lock.groups):
        for kind, recorded in (("unpacked", group.unpacked), ("configured", group.configured)):
            parent = _group_key(lock, group, kind, parent)
            steps.append(Step(kind, index, group.name, parent, recorded, present(parent, recorded)))
    for index, libraries in enumerate(lock.libraries):
        key = _library_key(lock, libraries)
        steps.append(Step("library", index, libraries.language, key, libraries.layer, present(key, libraries.layer)))
    return Plan(tuple(steps))


def _group_key(lock: Lock, group: Group, kind: str, parent: str) -> str:
    # A layer's content is a function of the lock alone, so the parent's key serves as well as its digest.
    own = {"epoch": lock.epoch, "requested": sorted(group.requested)} if kind == "configured" else {}
    return _key(lock, {"kind": kind, "parent": parent, "artifacts": _digests(group.artifacts), **own})


def _library_key(lock: Lock, libraries: LibrarySet) -> str:
    # Neither the packages below nor the archive's date: adding one must not install every library again.
    inputs = {
        "kind": "library",
        "language": libraries.language,
        "interpreter": libraries.interpreter,
        "tools": _digests(libraries.tools),
        "artifacts": _digests(libraries.artifacts),
    }
    return _key(lock, inputs)


def _digests(artifacts: tuple[Artifact, ...]) -> list[str]:
    return sorted(f"{artifact.name} {artifact.digest}" for artifact in artifacts)


def _key(lock: Lock, inputs: Mapping[str, object]) -> str:
    common = {"recipe": lock.recipe, "architecture": lock.architecture.value, "base": lock.request.base}
    text = json.dumps({**common, **inputs}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
