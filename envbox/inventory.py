"""Who uses what in a store: projects by their locks, pins, and sessions that run."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING

from envbox import lock as locks
from envbox.distros import DISTROS
from envbox.errors import LockInvalid
from envbox.managers import MANAGERS
from envbox.session import LOCK_NAME, SPEC_NAME, identity_of
from envbox.store import gc, roots
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from envbox.lock import Lock
    from envbox.store.store import Store


@dataclass(frozen=True)
class Environment:
    """One record: the environment of a project as it was at some time, and the layers it stands on."""

    identity: str
    project: str
    home: str
    layers: tuple[str, ...]
    since: float


@dataclass(frozen=True)
class User:
    """A project or pin. `state`: `here`, `gone`, or `unknown`, where its files cannot be read right now."""

    kind: str
    path: str
    state: str
    environments: tuple[Environment, ...]
    """Those in the store that it uses as it is now."""
    needs: frozenset[str]
    """Names in the store of all that it takes to enter what it uses, and to build it without the network."""


@dataclass(frozen=True)
class Inventory:
    """All that is known of a store's users. `environments`: every record, used or not."""

    environments: tuple[Environment, ...]
    users: tuple[User, ...]

    @property
    def needed(self) -> frozenset[str]:
        """Names of everything that somebody needs."""
        return frozenset().union(*(user.needs for user in self.users))

    @property
    def homes(self) -> dict[str, str]:
        """Names of home folders, with the folder of the project whose it is."""
        known = {environment.home: environment.project for environment in self.environments}
        return {**{roots.home_name(user.path): user.path for user in self.users if user.kind == roots.PROJECT}, **known}


def take(store: Store) -> Inventory:
    """Look at every project and pin that the store knows."""
    environments = tuple(_environments(store))
    listed = roots.listed(store)
    folders = {root.path for root in listed if root.kind == roots.PROJECT}
    folders |= {environment.project for environment in environments}
    projects = [_project(folder, environments) for folder in sorted(folders)]
    pins = [_pin(root, environments) for root in listed if root.kind != roots.PROJECT]
    return Inventory(environments, (*projects, *pins))


def unneeded(store: Store, used: Collection[str], before: float, *, homes: bool) -> list[gc.Item]:
    """What neither anybody needs nor is `used` by a session, put there `before` a time; homes only if asked for."""
    known = take(store)
    fresh = [environment for environment in known.environments if environment.since > before]
    kept = {*known.needed, *used, *(name for e in fresh for name in (e.identity, *e.layers))}
    gone = (
        {home for home, project in known.homes.items() if _is_gone(os.path.join(project, SPEC_NAME))}
        if homes
        else set()
    )
    gone -= set(used)
    kept |= _roots_kept(store, known, gone)
    found = gc.items(store, gc.ENVIRONMENTS, gc.LAYERS, gc.TREES, gc.ARTIFACTS, gc.LISTS, gc.LOGS, gc.ROOTS)
    chosen = [item for item in found if item.since <= before and subject(item) not in kept]
    return [*chosen, *(item for item in gc.items(store, gc.HOMES) if item.name in gone)]


def subject(item: gc.Item) -> str:
    """What the item's name stands for: of a half download its artifact, of a tool's tree the tool."""
    return item.name.partition(".")[0].rpartition("-")[2]


def _roots_kept(store: Store, known: Inventory, homes_gone: Collection[str]) -> set[str]:
    """Names of the roots of everybody that is there, and of projects whose home is: nobody else knows whose it is."""
    gone = {(user.kind, user.path) for user in known.users if user.state == "gone"}
    homes = {item.name for item in gc.items(store, gc.HOMES)} - set(homes_gone)
    return {
        root.name
        for root in roots.listed(store)
        if (root.kind, root.path) not in gone or (root.kind == roots.PROJECT and roots.home_name(root.path) in homes)
    }


def _environments(store: Store) -> Iterator[Environment]:
    for item in gc.items(store, gc.ENVIRONMENTS):
        values = gc.record(store, item.name)
        if values and isinstance(values.get("project"), str):
            home = os.path.basename(str(values.get("home", "")))
            yield Environment(item.name, str(values["project"]), home, tuple(gc.layers_of(values)), item.since)


def _is_gone(path: str) -> bool:
    """Not there; what only cannot be looked at may well be."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _project(folder: str, environments: Iterable[Environment]) -> User:
    """What the files of a project say now; where they cannot be read, all that it ever was stays."""
    own = tuple(environment for environment in environments if environment.project == folder)
    if _is_gone(os.path.join(folder, SPEC_NAME)):
        return User(roots.PROJECT, folder, "gone", (), frozenset())
    try:
        spec, text = (_read(os.path.join(folder, name)) for name in (SPEC_NAME, LOCK_NAME))
        lock = locks.loads(text.decode())
    except FileNotFoundError:  # no lock
        return User(roots.PROJECT, folder, "here", (), frozenset())
    except (OSError, UnicodeDecodeError, LockInvalid):
        return _user(roots.PROJECT, folder, "unknown", own, frozenset())
    identity, needs = identity_of(folder, spec, text), digests_of(lock) | _lists(lock)
    # Another text of the spec may stand for the same lock; its last layer is the one for sessions.
    now = [environment for environment in own if environment.identity == identity or _stands_on(environment, needs)]
    return _user(roots.PROJECT, folder, "here", now, needs)


def _lists(lock: Lock) -> frozenset[str]:
    """What adding a package to the lock reads; nothing for a base that this envbox does not know."""
    distro = DISTROS.get(lock.request.base.partition(":")[0])
    return frozenset({MANAGERS[distro.manager].lists_of(lock)} if distro else ())


def _stands_on(environment: Environment, needs: Collection[str]) -> bool:
    return bool(environment.layers) and set(environment.layers[:-1]) <= set(needs)


def _pin(root: roots.Root, environments: Iterable[Environment]) -> User:
    if _is_gone(root.path):
        return User(root.kind, root.path, "gone", (), frozenset())
    try:
        needs = digests_of(locks.loads(root.lock)) if root.lock else frozenset[str]()
    except LockInvalid:  # a newer envbox wrote it: its layers are known by the record
        needs = frozenset()
    return _user(root.kind, root.path, "here", [e for e in environments if e.identity == root.environment], needs)


def _user(kind: str, path: str, state: str, environments: Iterable[Environment], needs: frozenset[str]) -> User:
    used = tuple(environments)
    names = {name for environment in used for name in (environment.identity, *environment.layers)}
    return User(kind, path, state, used, needs | names)


def digests_of(value: object) -> frozenset[str]:
    """Every digest in a lock, of whatever: artifacts, indexes, layers. No two things in a store share one."""
    if isinstance(value, Digest):
        return frozenset({value.hex})
    if isinstance(value, tuple):
        return frozenset().union(*map(digests_of, value))
    if is_dataclass(value) and not isinstance(value, type):
        return frozenset().union(*(digests_of(getattr(value, field.name)) for field in fields(value)))
    return frozenset()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
