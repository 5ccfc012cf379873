"""Who uses what in a store, beyond what runs: one small JSON file in roots/ for each project and pin.

    {"kind": "project", "path": "/home/me/climate", "environment": "", "lock": ""}
    {"kind": "pin", "path": "/home/me/fit.ipynb", "environment": "<name in environments-v1>", "lock": "<text>"}

`path` is who needs it: a root whose path is gone counts no more. A project says in its own files what it needs. A pin
says it here: the environment that it enters, and the text of its lock, for all that a build of it takes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from envbox.store.work import write_file

if TYPE_CHECKING:
    from envbox.store.store import Store

PROJECT = "project"
PIN = "pin"


@dataclass(frozen=True)
class Root:
    """One user of a store. `environment` and `lock` may be empty."""

    kind: str
    path: str
    environment: str = ""
    lock: str = ""

    @property
    def name(self) -> str:
        """Of its file: one root for each kind and path."""
        return hashlib.sha256(os.fsencode(f"{self.kind}\0{self.path}")).hexdigest()[:32]


def home_name(folder: str) -> str:
    """What a project's HOME inside is called in homes/."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]


def add(store: Store, root: Root) -> None:
    """From now on nothing that `root` uses is removed. Replaces the one of the same kind and path.

    To be called within `work.building`, and before it ends the environment must be there.
    """
    path = _path(store, root)
    data = json.dumps(asdict(root)).encode()
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if file.read() == data:
            return
    write_file(path, data)


def remove(store: Store, root: Root) -> None:
    """`root` needs nothing any more. Idempotent."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(store, root))


def listed(store: Store) -> list[Root]:
    """All roots, in the order of their kinds and paths; what is no root is passed over."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(store.path("roots")):
            with (
                contextlib.suppress(OSError, ValueError, TypeError, AttributeError),
                open(entry.path, encoding="utf-8") as file,
            ):
                values = json.load(file)
                if all(isinstance(value, str) for value in values.values()):
                    found.append(Root(**values))
    return sorted(found, key=lambda root: (root.kind, root.path))


def _path(store: Store, root: Root) -> str:
    return store.path("roots", f"{root.name}.json")
