"""Rootfs -> what a session reads: one small record, and a last layer that belongs to sessions, not to the image."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

from envbox import libraries
from envbox.errors import CommandNotStarted
from envbox.rootfs import read_below
from envbox.session import (
    HOME,
    LOCK_NAME,
    RECORD_VERSION,
    SPEC_NAME,
    USER,
    USER_ID,
    environment_id,
    load_record,
)
from envbox.store.layers import Layers
from envbox.store.removal import remove_tree
from envbox.store.view import View
from envbox.store.work import work_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from envbox.rootfs import Rootfs
    from envbox.spec import Spec
    from envbox.store.store import Store


def write_record(spec: Spec, folder: str, rootfs: Rootfs, store: Store) -> dict[str, Any]:
    """Make the environment of a project ready to be entered; returns the record that `load_record` will find."""
    identity = environment_id(folder)
    if identity is None:
        raise CommandNotStarted(f"{folder} has no {LOCK_NAME} any more", hint="run `envbox lock`")
    place = store.path("environments-v1", identity)
    with work_folder(store, "environment") as work:
        record = _record(spec, folder, rootfs, store, os.path.join(place, "tree"))
        made = os.path.join(work, "made")
        _write_session_layer(spec, rootfs, store, os.path.join(made, "tree"))
        write_file(os.path.join(made, "record.json"), json.dumps(record).encode())
        write_file(os.path.join(made, "project"), os.fsencode(folder))
        if os.path.exists(place):
            os.rename(place, os.path.join(work, "old"))
        os.rename(made, place)
    _prepare_home(rootfs, record["home"])
    found = load_record(store.root, folder)
    if found is None:
        raise CommandNotStarted(f"{SPEC_NAME} or {LOCK_NAME} changed meanwhile", hint="run the same command again")
    return found


def _record(spec: Spec, folder: str, rootfs: Rootfs, store: Store, session_layer: str) -> dict[str, Any]:
    project = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return {
        "version": RECORD_VERSION,
        "name": spec.name,
        "sources": [[path, _digest_of(os.path.join(folder, path))] for path in spec.sources],
        "layers": [*rootfs.trees, session_layer],
        "home": store.path("homes", project),
        "path": [f"{libraries.PREFIX}/bin"] if rootfs.lock.libraries else [],
        "variables": {**_library_variables(rootfs), **dict(spec.variables)},
        "shell": spec.session.shell,
        "volumes": [
            {"source": volume.source, "target": volume.target, "access": volume.access}
            for volume in spec.session.volumes
        ],
    }


def _library_variables(rootfs: Rootfs) -> Mapping[str, str]:
    return {"VIRTUAL_ENV": libraries.PREFIX} if rootfs.lock.libraries else {}


def _digest_of(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _write_session_layer(spec: Spec, rootfs: Rootfs, store: Store, tree: str) -> None:
    layers = Layers(store)
    view = View(layers.entries(digest) for digest in rootfs.digests)
    passwd = f"{USER}:x:{USER_ID}:{USER_ID}:{USER}:{HOME}:/bin/sh\n"
    files = {
        "etc/passwd": read_below(rootfs.trees, "etc/passwd") + passwd,
        "etc/group": read_below(rootfs.trees, "etc/group") + f"{USER}:x:{USER_ID}:\n",
        "etc/hostname": f"{spec.name}\n",
        "etc/resolv.conf": "",
        "etc/debian_chroot": f"{spec.name}\n",  # Debian's bash.bashrc shows it in the prompt
        # One user id inside: apt cannot become its own user.
        "etc/apt/apt.conf.d/90envbox": 'APT::Sandbox::User "root";\n',
        f"{HOME[1:]}/.keep": "",
    }
    os.makedirs(tree)
    for path, text in files.items():
        _make_folders(tree, os.path.dirname(path), view)
        with open(os.path.join(tree, path), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(os.path.join(tree, path), 0o644)
    os.unlink(os.path.join(tree, HOME[1:], ".keep"))
    os.chmod(tree, 0o755)


def _make_folders(tree: str, path: str, view: View) -> None:
    if not path or os.path.isdir(os.path.join(tree, path)):
        return
    _make_folders(tree, os.path.dirname(path), view)
    entry = view.get(path)
    os.mkdir(os.path.join(tree, path))
    os.chmod(os.path.join(tree, path), entry.mode if entry else 0o755)


def _prepare_home(rootfs: Rootfs, home: str) -> None:
    """A new project's HOME starts from the root file system's /etc/skel."""
    if os.path.isdir(home):
        return
    temporary = f"{home}.{os.getpid()}"
    os.makedirs(temporary, mode=0o700)
    for tree in rootfs.trees:
        skeleton = os.path.join(tree, "etc/skel")
        if os.path.isdir(skeleton):
            shutil.copytree(skeleton, temporary, symlinks=True, dirs_exist_ok=True)
    try:
        os.rename(temporary, home)
    except OSError:
        remove_tree(temporary)  # another envbox was faster
