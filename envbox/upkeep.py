"""Keeps a store in order: verifies it, mends it, tells what is in it, and removes what nobody needs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from envbox import inventory
from envbox.errors import LayerDamaged
from envbox.plan import layers_of
from envbox.report import Silent
from envbox.store import gc
from envbox.store.difference import lines
from envbox.store.store import Store, explaining
from envbox.store.usage import Ledger
from envbox.store.verify import Subjects, everything
from envbox.store.verify import verify as verify_subjects
from envbox.store.work import building as building_in
from envbox.store.work import is_whole, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from envbox.lock import Lock
    from envbox.plan import Step
    from envbox.report import Reporter
    from envbox.store.gc import Removed
    from envbox.store.verify import Damage, Verified

_DAY = 86400.0
_MOST = 20  # paths of one damage that a message names
_FOLDERS = {"layer": gc.LAYERS, "package tree": gc.TREES, "artifact": gc.ARTIFACTS}
_CATEGORIES = (
    ("layers", gc.LAYERS),
    ("package trees", gc.TREES),
    ("artifacts", gc.ARTIFACTS),
    ("package lists", gc.LISTS),
    ("homes", gc.HOMES),
    ("logs", gc.LOGS),
    ("work folders", "tmp"),
)


@dataclass(frozen=True)
class Verification:
    """What was verified, the titles of layers that are promised but not here, and what a repair took out."""

    store: str
    verified: Verified
    missing: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    removed: Removed | None = None

    @property
    def damages(self) -> tuple[Damage, ...]:
        """What is not as it was, the shortest lists of paths first."""
        return self.verified.damages


@dataclass(frozen=True)
class Category:
    """One kind of things in a store. `disk`: bytes that none of those before it holds; `alone`: all that it has."""

    name: str
    number: int
    disk: int
    alone: int


@dataclass(frozen=True)
class Usage:
    """A project or pin: bytes of the layers that it uses, and of those that nobody else does."""

    kind: str
    path: str
    state: str
    layers: int
    disk: int
    exclusive: int


@dataclass(frozen=True)
class Contents:
    """What a store holds. `disk` is what it takes, `apart` what its users' layers would without sharing."""

    store: str
    disk: int
    shared: int
    apart: int
    categories: tuple[Category, ...]
    usages: tuple[Usage, ...]
    removable: Removed


def verify_lock(lock: Lock, record: Mapping[str, Any] | None, store: Store, reporter: Reporter) -> Verification:
    """Read again all that the store has for a lock, and the layer for sessions that its record names."""
    steps = layers_of(lock)
    titles = _titles(lock, steps)
    session = gc.layers_of(dict(record))[-1:] if record else []
    promised = [step.recorded.hex for step in steps if step.recorded]
    here = [name for name in promised if is_whole(store.path(gc.LAYERS, name))]
    needed = inventory.digests_of(lock)
    trees = [item for item in gc.items(store, gc.TREES) if inventory.subject(item) in needed]
    with building(store, reporter):
        subjects = Subjects((*here, *session), tuple(item.name for item in trees if is_whole(item.path(store))))
        verified = verify_subjects(store, subjects, reporter)
    missing = tuple(titles[name] for name in promised if name not in here)
    return Verification(store.root, verified, missing, {**titles, **dict.fromkeys(session, "the layer for sessions")})


def verify_store(*, repair: bool = False, store: str | None = None, reporter: Reporter | None = None) -> Verification:
    """As `Project.verify`, of all that is in a store."""
    place, watcher = Store(store).prepare(), reporter or Silent()
    with building(place, watcher):
        found = Verification(place.root, verify_subjects(place, everything(place), watcher))
    return repaired(found, place, watcher) if repair else found


def building(store: Store, reporter: Reporter) -> AbstractContextManager[None]:
    """A context in which nothing is taken out of the store."""
    return building_in(store, lambda: reporter.note("waiting for another envbox to clean up the store"))


def _titles(lock: Lock, steps: Sequence[Step]) -> dict[str, str]:
    titles = {
        artifact.digest.hex: f"{artifact.name} {artifact.version}" for g in lock.groups for artifact in g.artifacts
    }
    return {**titles, **{step.recorded.hex: step.title for step in steps if step.recorded}}


def damaged(found: Verification) -> LayerDamaged:
    """The error that tells of what `found` has."""
    parts = []
    for damage in found.damages:
        title = found.titles.get(damage.name, "")
        parts.append(f"the {damage.kind} {damage.name[:12]}{f' ({title})' if title else ''} is damaged:")
        parts += [f"  {line}" for line in lines(damage.differences, _MOST)]
    everywhere = "" if found.titles else " --all"
    return LayerDamaged(
        "\n".join([f"{found.store} is not what it was:", *parts]),
        hint=f"run `envbox verify{everywhere} --repair` to remove what is damaged, then `envbox build` to make it anew",
    )


def repaired(found: Verification, store: Store, reporter: Reporter) -> Verification:
    """Take what is damaged out of the store, and with it the records that stand on it.

    Raises LayerDamaged where a session stands on it, having removed the rest.
    """
    if not found.damages:
        return found
    items = {gc.Item(_FOLDERS[damage.kind], damage.name, 0.0) for damage in found.damages}
    layers = {item.name for item in items if item.folder == gc.LAYERS}

    def choose(_used: Collection[str]) -> list[gc.Item]:
        known = inventory.take(store).environments
        records = [gc.Item(gc.ENVIRONMENTS, e.identity, 0.0) for e in known if layers & set(e.layers)]
        return [*items, *records]

    removed = _take_out(store, choose, reporter)
    left = items - set(removed.items)
    if left:
        running = ", ".join(sorted(str(session.pid) for session in gc.sessions(store)))
        raise LayerDamaged(
            f"a session runs on what is damaged: {', '.join(sorted(item.name[:12] for item in left))}",
            hint=f"end it (process {running}), then run the same command again",
        )
    return replace(found, removed=removed)


def collect(
    *,
    dry_run: bool = False,
    days: float = 0,
    homes: bool = False,
    store: str | None = None,
    reporter: Reporter | None = None,
) -> Removed:
    """Remove from a store what no project, pin or running session needs and what is older than so many days.

    `homes`: also the home folders of projects that are gone, and all that is in them.
    """
    place, before = Store(store).prepare(), time.time() - days * _DAY

    def choose(used: Collection[str]) -> list[gc.Item]:
        return inventory.unneeded(place, used, before, homes=homes)

    if dry_run:
        return gc.would_take_out(place, choose)
    sweep(place)
    return _take_out(place, choose, reporter or Silent())


def _take_out(store: Store, choose: Callable[[Collection[str]], Collection[gc.Item]], reporter: Reporter) -> Removed:
    with explaining(store.root):
        return gc.take_out(store, choose, lambda: reporter.note("waiting for another envbox to finish its build"))


def contents(store: str | None = None) -> Contents:
    """What is in a store, whose it is, how much disk it takes, and what `collect` would remove."""
    place = Store(store).prepare()
    users = inventory.take(place).users
    layers = [_layers_of(user) for user in users]
    ledger = Ledger()
    categories = [_category(place, kind, layers, ledger) for kind in _CATEGORIES]
    rest, _ = ledger.book(place.root)
    categories.append(Category("the rest", 0, rest, rest))
    sums = ledger.by_owners()
    return Contents(
        store=place.root,
        disk=sum(category.disk for category in categories),
        shared=sum(size for owners, size in sums.items() if owners),
        apart=sum(ledger.alone.get(place.path(gc.LAYERS, name), 0) for own in layers for name in own),
        categories=tuple(categories),
        usages=tuple(_usage(user, 1 << bit, len(layers[bit]), sums) for bit, user in enumerate(users)),
        removable=collect(dry_run=True, store=place.root),
    )


def _category(place: Store, kind: tuple[str, str], layers: Sequence[Collection[str]], ledger: Ledger) -> Category:
    title, folder = kind
    disk = []
    alone = 0
    for item in gc.items(place, folder):
        owners = sum(1 << bit for bit, own in enumerate(layers) if item.name in own)
        added, size = ledger.book(item.path(place), owners)
        disk.append(added)
        alone += size
    return Category(title, len(disk), sum(disk), alone)


def _layers_of(user: inventory.User) -> frozenset[str]:
    return frozenset(name for environment in user.environments for name in environment.layers)


def _usage(user: inventory.User, bit: int, layers: int, sums: Mapping[int, int]) -> Usage:
    disk = sum(size for owners, size in sums.items() if owners & bit)
    return Usage(user.kind, user.path, user.state, layers, disk, sums.get(bit, 0))
