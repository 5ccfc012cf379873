"""Rootfs -> what a session reads: one small record, and a last layer that belongs to sessions, not to the image."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envbox import libraries
from envbox.session import HOME, RECORD_VERSION, USER, USER_ID, record_path
from envbox.store import manifest, roots
from envbox.store.layers import Layers
from envbox.store.removal import remove_tree
from envbox.store.stack import Stack
from envbox.store.work import seal, work_folder, write_file

if TYPE_CHECKING:
    from typing import Any

    from envbox.rootfs import Rootfs
    from envbox.spec import Spec
    from envbox.store.store import Store
    from envbox.store.view import View
    from envbox.values import Digest


@dataclass(frozen=True)
class Basis:
    """The very bytes that a record counts for, whatever has become of a project's files meanwhile."""

    folder: str
    identity: str
    """Of the texts of spec and lock: `session.identity_of`."""
    sources: tuple[tuple[str, str], ...]
    """The other files that the spec names, each with its sha256."""
    inputs: tuple[tuple[str, object], ...] = ()
    """Files and folders of the project that steps take, each with its `fingerprint`."""


def write_record(spec: Spec, basis: Basis, rootfs: Rootfs, store: Store) -> None:
    """Make the environment of a project ready to be entered."""
    stack = Stack(Layers(store), rootfs.digests)
    session_layer = _session_layer(spec, stack, store)
    home = store.path("homes", roots.home_name(basis.folder))
    record = _record(spec, rootfs, [*rootfs.trees, Layers(store).tree(session_layer)])
    record.update({"sources": basis.sources, "inputs": basis.inputs, "home": home, "project": basis.folder})
    seal(store, [Layers(store).folder(session_layer)])
    path = record_path(store.root, basis.identity)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write_file(path, json.dumps(record).encode())
    roots.add(store, roots.Root(roots.PROJECT, basis.folder))
    _prepare_home(stack, home, store)


def _record(spec: Spec, rootfs: Rootfs, layers: list[str]) -> dict[str, Any]:
    has_libraries = bool(rootfs.lock.libraries)
    return {
        "version": RECORD_VERSION,
        "name": spec.name,
        "layers": layers,
        "path": [f"{libraries.PREFIX}/bin"] if has_libraries else [],
        "variables": {**({"VIRTUAL_ENV": libraries.PREFIX} if has_libraries else {}), **dict(spec.variables)},
        "shell": spec.session.shell,
        "volumes": [
            {"source": volume.source, "target": volume.target, "access": volume.access}
            for volume in spec.session.volumes
        ],
    }


def _session_layer(spec: Spec, stack: Stack, store: Store) -> Digest:
    passwd = f"{USER}:x:{USER_ID}:{USER_ID}:{USER}:{HOME}:/bin/sh\n"
    files = {
        "etc/passwd": stack.read("etc/passwd") + passwd,
        "etc/group": stack.read("etc/group") + f"{USER}:x:{USER_ID}:\n",
        "etc/hostname": f"{spec.name}\n",
        "etc/resolv.conf": "",
        "etc/debian_chroot": f"{spec.name}\n",  # Debian's bash.bashrc shows it in the prompt
        # One user id inside: apt cannot become its own user.
        "etc/apt/apt.conf.d/90envbox": 'APT::Sandbox::User "root";\n',
    }
    with work_folder(store, "session-layer") as work:
        folder = os.path.join(work, "layer")
        tree = os.path.join(folder, "tree")
        os.makedirs(tree)
        for path, text in files.items():
            _make_folders(tree, os.path.dirname(path), stack.view)
            with open(os.path.join(tree, path), "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            os.chmod(os.path.join(tree, path), 0o644)
        _make_folders(tree, HOME[1:], stack.view)
        os.chmod(tree, 0o755)
        entries = list(manifest.scan(tree, {}))
        for entry in reversed(entries):
            os.utime(os.path.join(tree, entry.path), (0, 0))
        return Layers(store).put(folder, [entry._replace(mtime=0) for entry in entries])


def _make_folders(tree: str, path: str, view: View) -> None:
    if not path or os.path.isdir(os.path.join(tree, path)):
        return
    _make_folders(tree, os.path.dirname(path), view)
    entry = view.get(path)
    os.mkdir(os.path.join(tree, path))
    os.chmod(os.path.join(tree, path), entry.mode if entry else 0o755)


def _prepare_home(stack: Stack, home: str, store: Store) -> None:
    """A new project's HOME starts from the root file system's /etc/skel."""
    if os.path.isdir(home):
        return
    with work_folder(store, "home") as work:
        made = os.path.join(work, "home")
        os.mkdir(made, 0o700)
        for entry in stack.below("etc/skel"):
            target = os.path.join(made, entry.path.removeprefix("etc/skel/"))
            if entry.is_directory:
                os.mkdir(target)
            elif entry.kind == "symlink":
                os.symlink(entry.target, target)
            else:
                with open(target, "wb") as file:
                    file.write(stack.content(entry))
                os.chmod(target, entry.mode)
        try:
            os.rename(made, home)
        except OSError:
            remove_tree(made)  # another envbox was faster
