"""Package lists as apt reads them (apt-get(8), Dir::State::Lists), and what apt computes from them: made once, kept.

A list is 55 MB of text that takes longer to decompress and to parse than all the rest of adding a package. All
projects share the lists: no command of a base can write them, and they are checked by their hashes when they are read.
What the apt of a base computes, with nothing above it, is for stacks on the very same layers alone: another base may
not trust it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING

from envbox.sandbox.spec import Mount
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
_LAYOUT = 2
_DIGESTS = "digests.json"
_CACHE = "cache"


def folder_of(store: Store, states: Sequence[ArchiveState], architecture: Architecture) -> str:
    """Where the lists of these archives are, or would be."""
    return store.path(FOLDER, name_of(states, architecture))


def name_of(states: Sequence[ArchiveState], architecture: Architecture) -> str:
    """What the folder with the lists of these archives is called."""
    known = [[s.name, s.suite, str(s.release), [[i.path, str(i.digest)] for i in s.indexes]] for s in states]
    text = json.dumps([_LAYOUT, architecture.value, known], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read(store: Store, states: Sequence[ArchiveState], architecture: Architecture) -> list[list[bytes]] | None:
    """The texts of the lists, for each archive one for each of its indexes; None if they are not kept, or damaged."""
    folder = folder_of(store, states, architecture)
    if not is_whole(folder):
        return None
    names = [[_list_name(state, index.component, architecture) for index in state.indexes] for state in states]
    try:
        digests = json.loads(_read(os.path.join(folder, _DIGESTS)))
        return [[_checked(folder, name, digests) for name in of_state] for of_state in names]
    except (OSError, ValueError, KeyError, TypeError):
        with work_folder(store, "lists") as work, contextlib.suppress(FileNotFoundError):
            os.rename(folder, os.path.join(work, "damaged"))  # removed with the work folder, then made anew
        return None


def prepare(archive: Archive, store: Store) -> str:
    """Have the lists of `archive` in the store; returns their folder."""
    target = folder_of(store, [part.state for part in archive.parts], archive.architecture)
    if not is_whole(target):
        with work_folder(store, "lists") as work:
            folder = os.path.join(work, "apt")
            _write(archive, folder)
            publish(folder, target)
    return target


def prepare_cache(store: Store, folder: str, layers: Sequence[str], warm: Callable[[str], object]) -> str:
    """Have the cache that the apt of this base makes of the lists in `folder`; `warm` lets it fill a new one."""
    stack = "\n".join(os.path.relpath(layer, store.root) for layer in layers)
    target = os.path.join(folder, f"{_CACHE}-{hashlib.sha256(os.fsencode(stack)).hexdigest()}")
    if not is_whole(target):
        with work_folder(store, "lists") as work:
            # Below the folder that is published: what is written there must not follow a link that the base put.
            made = os.path.join(work, "made")
            os.makedirs(os.path.join(made, _CACHE))
            warm(os.path.join(made, _CACHE))
            publish(made, target)
    return os.path.join(target, _CACHE)


def mounts(folder: str, cache: str, access: str) -> tuple[Mount, Mount]:
    """The lists, which nothing inside can write, and above them the cache."""
    return (
        Mount("bind", PLACE, source=folder, access="read"),
        Mount("bind", f"{PLACE}/{_CACHE}", source=cache, access=access),
    )


def _write(archive: Archive, folder: str) -> None:
    for name in ("lists/partial", _CACHE):
        os.makedirs(os.path.join(folder, name))
    lines, digests = [], {}
    for part in archive.parts:
        name, suite, architecture = part.state.name, part.state.suite, archive.architecture
        components = " ".join(component for component, _ in part.indexes)
        lines.append(f"deb [trusted=yes arch={architecture.value}] http://{HOST}/{name} {suite} {components}\n")
        _write_file(folder, f"lists/{_prefix(part.state)}_Release", part.release)
        for component, text in part.indexes:
            listed = _list_name(part.state, component, architecture)
            _write_file(folder, f"lists/{listed}", text)
            digests[listed] = hashlib.sha256(text).hexdigest()
    _write_file(folder, "sources.list", "".join(lines).encode())
    _write_file(folder, _DIGESTS, json.dumps(digests).encode())


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


def _checked(folder: str, name: str, digests: dict[str, str]) -> bytes:
    text = _read(os.path.join(folder, "lists", name))
    if hashlib.sha256(text).hexdigest() != digests[name]:
        raise ValueError(name)
    return text


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
