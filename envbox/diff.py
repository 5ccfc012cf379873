"""What a person names -> where the two differ: locks by path or revision, layers by digest."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envbox import lock as locks
from envbox.comparison import LayerPair, Section, compare, layer_pairs
from envbox.distros import DISTROS
from envbox.errors import LockInvalid
from envbox.host import git
from envbox.managers import MANAGERS
from envbox.plan import layers_of
from envbox.session import LOCK_NAME, find_project
from envbox.store import difference
from envbox.store.layers import Layers
from envbox.store.stack import Stack
from envbox.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from envbox.lock import Lock
    from envbox.store.difference import Difference
    from envbox.values import Digest

_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")


@dataclass(frozen=True)
class Operand:
    """One side: a lock or a layer, and what the person called it."""

    title: str
    lock: Lock | None = None
    layer: Digest | None = None


@dataclass(frozen=True)
class FileChange:
    """A path of a layer that differs, and the package that it belongs to, if that is known."""

    path: str
    what: str
    package: str = ""


@dataclass(frozen=True)
class LayerDiff:
    """A layer that differs. `files` is None where the store does not have both."""

    title: str
    before: Digest | None
    after: Digest | None
    files: tuple[FileChange, ...] | None


@dataclass(frozen=True)
class Diff:
    """Where two locks or layers differ: sections of the lock, then layers, those with the fewest files first."""

    before: str
    after: str
    sections: tuple[Section, ...]
    layers: tuple[LayerDiff, ...]

    @property
    def is_empty(self) -> bool:
        """True if they are the same."""
        return not self.sections and not self.layers


def diff(before: str = "", after: str = "", *, folder: str = ".", store: str | None = None) -> Diff:
    """Compare two locks (paths, or revisions of the project's in git) or two layers (digests, or their beginnings).

    Without `after` it is the project's lock as it is, without `before` that of git's HEAD. Raises LockInvalid.
    """
    layers = Layers(Store(store))
    project = find_project(folder) or os.path.realpath(folder)
    old = _operand(before or "HEAD", project, layers)
    new = _operand(after or os.path.join(project, LOCK_NAME), project, layers)
    if old.lock and new.lock:
        pairs = layer_pairs(old.lock, new.lock)
        return Diff(old.title, new.title, compare(old.lock, new.lock), _layer_diffs(pairs, old.lock, new.lock, layers))
    if not (old.layer and new.layer):
        raise LockInvalid(
            f"{old.title} and {new.title} cannot be compared: one is a lock, the other a layer",
            hint="name two locks or two layers",
        )
    pairs = (LayerPair(f"layer {new.layer.short}", old.layer, new.layer),) if old.layer != new.layer else ()
    return Diff(old.title, new.title, (), tuple(_layer_diff(pair, layers, _nobody) for pair in pairs))


def _operand(text: str, project: str, layers: Layers) -> Operand:
    path = os.path.join(text, LOCK_NAME) if os.path.isdir(text) else text
    if os.path.lexists(path) or os.sep in text:
        return Operand(text, lock=locks.load(path))
    prefix = _PREFIX.fullmatch(text)
    found = layers.named(prefix[1]) if prefix else []
    if len(found) > 1:
        raise LockInvalid(f"{len(found)} layers of the store begin with {text}", hint="write more digits")
    if found:
        return Operand(text, layer=found[0])
    data = git.read(project, text, LOCK_NAME)
    return Operand(text, lock=locks.loads(data.decode("utf-8", "replace"), file=f"{text}:{LOCK_NAME}"))


def _nobody(_path: str) -> str:
    return ""


def _layer_diffs(pairs: tuple[LayerPair, ...], old: Lock, new: Lock, layers: Layers) -> tuple[LayerDiff, ...]:
    owners = [_owner_in(lock, layers) for lock in (new, old)]
    diffs = [_layer_diff(pair, layers, lambda path: owners[0](path) or owners[1](path)) for pair in pairs]
    return tuple(sorted(diffs, key=lambda found: (found.files is None, len(found.files or ()))))


def _layer_diff(pair: LayerPair, layers: Layers, owner: Callable[[str], str]) -> LayerDiff:
    if not (pair.before and pair.after and layers.has(pair.before) and layers.has(pair.after)):
        return LayerDiff(pair.title, pair.before, pair.after, None)
    found = difference.compare(layers.entries(pair.before), layers.entries(pair.after))
    return LayerDiff(pair.title, pair.before, pair.after, tuple(_file_change(line, owner) for line in found))


def _file_change(line: Difference, owner: Callable[[str], str]) -> FileChange:
    return FileChange(line.path, line.what, owner(line.path))


def _owner_in(lock: Lock, layers: Layers) -> Callable[[str], str]:
    """Tells the package of a path, as far as the lock's layers are in the store."""
    digests = [step.recorded for step in layers_of(lock)]
    here = [digest for digest in digests if digest and layers.has(digest)]
    distro = DISTROS.get(lock.request.base.partition(":")[0])
    if not distro or not here:
        return _nobody
    stack = Stack(layers, here)
    return MANAGERS[distro.manager].owner_in(stack)
