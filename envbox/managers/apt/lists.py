"""Package lists as apt reads them (apt-get(8), Dir::State::Lists), and what apt computes from them: made once, kept.

A list is 55 MB of text that takes longer to decompress and to parse than all the rest of adding a package.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING

from envbox.store.work import is_whole, publish, work_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbox.lock import ArchiveState
    from envbox.managers.apt.archive import Archive
    from envbox.store.store import Store
    from envbox.values import Architecture

FOLDER = "lists-v1"
PLACE = "/run/envbox-apt"
"""Where the folder is inside the sandbox: apt's cache holds the paths of what it was made from."""
HOST = "envbox.invalid"


def folder_of(store: Store, states: Sequence[ArchiveState], architecture: Architecture) -> str:
    """Where the lists of these archives are, or would be."""
    return store.path(FOLDER, name_of(states, architecture))


def name_of(states: Sequence[ArchiveState], architecture: Architecture) -> str:
    """What the folder with the lists of these archives is called."""
    known = [[s.name, s.suite, str(s.release), [[i.path, str(i.digest)] for i in s.indexes]] for s in states]
    text = json.dumps([architecture.value, known], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read(store: Store, states: Sequence[ArchiveState], architecture: Architecture) -> list[list[bytes]] | None:
    """The texts of the lists, for each archive one for each of its indexes; None if they are not kept."""
    folder = folder_of(store, states, architecture)
    if not is_whole(folder):
        return None
    names = [[_list_name(state, index.component, architecture) for index in state.indexes] for state in states]
    return [[_read(os.path.join(folder, "lists", name)) for name in of_state] for of_state in names]


def prepare(archive: Archive, store: Store, warm: Callable[[str], object]) -> str:
    """Have the lists of `archive` in the store; returns their folder. `warm` lets apt make its cache in a new one."""
    states = [part.state for part in archive.parts]
    target = folder_of(store, states, archive.architecture)
    if not is_whole(target):
        with work_folder(store, "lists") as work:
            folder = os.path.join(work, "apt")
            _write(archive, folder)
            warm(folder)
            publish(folder, target)
    return target


def _write(archive: Archive, folder: str) -> None:
    for name in ("lists/partial", "cache"):
        os.makedirs(os.path.join(folder, name))
    lines = []
    for part in archive.parts:
        name, suite, architecture = part.state.name, part.state.suite, archive.architecture
        components = " ".join(component for component, _ in part.indexes)
        lines.append(f"deb [trusted=yes arch={architecture.value}] http://{HOST}/{name} {suite} {components}\n")
        _write_file(folder, f"lists/{_prefix(part.state)}_Release", part.release)
        for component, text in part.indexes:
            _write_file(folder, f"lists/{_list_name(part.state, component, architecture)}", text)
    _write_file(folder, "sources.list", "".join(lines).encode())


def _prefix(state: ArchiveState) -> str:
    return _file_name(f"{HOST}/{state.name}/dists/{state.suite}")


def _list_name(state: ArchiveState, component: str, architecture: Architecture) -> str:
    return f"{_prefix(state)}_{_file_name(component)}_binary-{architecture.value}_Packages"


def _file_name(address: str) -> str:
    """As apt does it (URItoFileName in apt-pkg/contrib/strutl.cc)."""
    quoted = re.sub(r'[\\|{}\[\]<>"^~_=!@#$%&*]', lambda match: f"%{ord(match[0]):02x}", address)
    return quoted.replace("/", "_")


def _write_file(folder: str, name: str, data: bytes) -> None:
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
