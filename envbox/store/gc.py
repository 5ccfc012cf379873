"""Takes out of a store what nobody uses, without taking anything from a build or a session.

Builds and removals exclude each other by a lock. Sessions take none: a removal hides an environment's record, then
looks for sessions of it; a session announces itself, then looks for its record. One of them always sees the other.
Everything leaves its place by a rename, so that an interrupted removal leaves nothing half there.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from envbox.store.usage import freed
from envbox.store.work import WHOLE, is_locked, removing, work_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from envbox.store.store import Store

ARTIFACTS, TREES, LAYERS = "blobs/sha256", "packages-v1", "layers-v1"
LISTS, ENVIRONMENTS, ROOTS = "lists-v1", "environments-v1", "roots"
HOMES, LOGS, KEYS, LOCKS = "homes", "logs", "keys-v1", "locks"


class Item(NamedTuple):
    """Something in the store: a name in one of its folders, and when it was put there."""

    folder: str
    name: str
    since: float

    def path(self, store: Store) -> str:
        """Where it is."""
        return store.path(*self.folder.split("/"), self.name)


class Session(NamedTuple):
    """One that runs, and the name of its environment."""

    pid: int
    environment: str


@dataclass(frozen=True)
class Removed:
    """What was taken out, or would be; `disk`: bytes that this frees."""

    items: tuple[Item, ...]
    disk: int


def sessions(store: Store) -> list[Session]:
    """All that run."""
    found = []
    for entry in os.scandir(store.path("tmp")):
        kind, *parts = entry.name.split("-")
        # One that does not hold its lock yet is about to look for its record, and will see that it is gone.
        if kind == "session" and len(parts) == 3 and parts[0].isdecimal() and is_locked(entry.path):
            found.append(Session(int(parts[0]), parts[2]))
    return found


def record(store: Store, environment: str) -> dict[str, object] | None:
    """What the environment's record says, None if it cannot be read."""
    return _record(store.path(ENVIRONMENTS, environment))


def _record(folder: str) -> dict[str, object] | None:
    try:
        with open(os.path.join(folder, "record.json"), encoding="utf-8") as file:
            values = json.load(file)
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def layers_of(values: dict[str, object]) -> list[str]:
    """Names of the layers that a record stands on."""
    layers = values.get("layers")
    return [os.path.basename(os.path.dirname(str(layer))) for layer in layers] if isinstance(layers, list) else []


def items(store: Store, *folders: str) -> Iterator[Item]:
    """All that is in the folders."""
    for folder in folders:
        for entry in os.scandir(store.path(*folder.split("/"))):
            with contextlib.suppress(FileNotFoundError):
                yield Item(folder, entry.name, entry.stat(follow_symlinks=False).st_ctime)


def in_use(store: Store) -> frozenset[str] | None:
    """Names of the environments, homes and layers of running sessions; None: one of them does not tell its layers."""
    found: set[str] = set()
    for session in sessions(store):
        values = record(store, session.environment)
        if values is None:
            return None
        found.update({session.environment, os.path.basename(str(values.get("home", ""))), *layers_of(values)})
    return frozenset(found)


def take_out(
    store: Store, choose: Callable[[Collection[str]], Collection[Item]], waiting: Callable[[], None]
) -> Removed:
    """Remove what `choose` names of what no session needs. It is called once nobody builds, with what is in use.

    The space is free at the return. `waiting` is called once if somebody builds.
    """
    with work_folder(store, "gc") as work:
        with removing(store, waiting):
            used = in_use(store)
            chosen = [item for item in choose(used or ()) if not _is_needed(item, used)]
            records = [item for item in chosen if item.folder == ENVIRONMENTS]
            _move(store, records, work)
            again = in_use(store) if _return_those_in_use(store, records, work) else used
            gone = [item for item in chosen if not _is_needed(item, again)]
            _forget_keys(store, {item.name for item in gone if item.folder == LAYERS})
            _move(store, [item for item in gone if item.folder != ENVIRONMENTS], work)
            _forget_locks(store)
        disk = freed(work)
    return Removed(tuple(gone), disk)


def would_take_out(store: Store, choose: Callable[[Collection[str]], Collection[Item]]) -> Removed:
    """What `take_out` would do now; nothing is changed, and nobody is waited for."""
    used = in_use(store)
    chosen = tuple(item for item in choose(used or ()) if not _is_needed(item, used))
    return Removed(chosen, freed(*(item.path(store) for item in chosen)))


def _is_needed(item: Item, used: Collection[str] | None) -> bool:
    """Whether a session stands on it. Where one does not tell, all that it could stand on is needed."""
    return item.folder in {ENVIRONMENTS, LAYERS, HOMES} and (used is None or item.name in used)


def _move(store: Store, chosen: Collection[Item], work: str) -> None:
    for item in chosen:
        target = os.path.join(work, item.folder.replace("/", "-"))
        os.makedirs(target, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.rename(item.path(store), os.path.join(target, item.name))


def _return_those_in_use(store: Store, records: list[Item], work: str) -> bool:
    """Put records back whose sessions began since it was looked for sessions; True if there are any."""
    running = {session.environment for session in sessions(store)}
    again = [item for item in records if item.name in running]
    for item in again:
        os.rename(os.path.join(work, ENVIRONMENTS, item.name), store.path(ENVIRONMENTS, item.name))
    return bool(again)


def _forget_keys(store: Store, layers: Collection[str]) -> None:
    """First: what a key names must be there, also when this is interrupted."""
    for entry in os.scandir(store.path(KEYS)):
        with open(entry.path, encoding="ascii", errors="replace") as file:
            layer = file.read().strip().removeprefix("sha256:")
        if layer in layers or not os.path.isdir(store.path(LAYERS, layer)):
            os.unlink(entry.path)


def _forget_locks(store: Store) -> None:
    """Nobody builds: nobody holds one."""
    for entry in os.scandir(store.path(LOCKS)):
        if entry.name != WHOLE:
            os.unlink(entry.path)
