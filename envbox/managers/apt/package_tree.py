"""One .deb, decompressed once, ever: an unpacked tree in the store, with its dpkg database entries."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from envbox.errors import ArtifactHostile
from envbox.formats import control as deb822
from envbox.formats import deb as deb_format
from envbox.store import manifest
from envbox.store.manifest import Entry
from envbox.store.removal import remove_tree
from envbox.store.work import is_whole, publish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbox.formats.tar import Member
    from envbox.store.store import Store
    from envbox.values import Digest

INFO = "var/lib/dpkg/info"
# Folders that Debian merged into /usr; packages of older releases still ship files below the old names.
MERGED = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32"})


@dataclass(frozen=True)
class PackageTree:
    """A package in the store: `folder`/tree holds its files, /usr-merged, and its dpkg info files."""

    folder: str
    control: str
    conffiles: tuple[tuple[str, str, bool], ...]
    """Absolute path, md5 as dpkg's status file wants it, and whether it is to be removed on upgrade."""
    triggers: tuple[tuple[str, str], ...]
    scripts: tuple[str, ...]

    @cached_property
    def fields(self) -> dict[str, str]:
        """The control file's fields."""
        return deb822.paragraph(self.control)

    @property
    def name(self) -> str:
        """The package's name."""
        return self.fields["Package"]

    @property
    def info_name(self) -> str:
        """Its name in dpkg's info folder: with the architecture when several can be installed at once."""
        return _info_name(self.fields)

    @cached_property
    def diverts(self) -> bool:
        """True if its preinst script may move other packages' files out of its way."""
        if "preinst" not in self.scripts:
            return False
        with open(os.path.join(self.tree, INFO, f"{self.info_name}.preinst"), "rb") as file:
            return b"dpkg-divert" in file.read()

    @property
    def tree(self) -> str:
        """Where its files are."""
        return os.path.join(self.folder, "tree")

    @cached_property
    def entries(self) -> list[Entry]:
        """Its manifest."""
        return manifest.read(self.folder)


def _info_name(fields: dict[str, str]) -> str:
    if fields.get("Multi-Arch") == "same":
        return f"{fields['Package']}:{fields['Architecture']}"
    return fields["Package"]


def open_tree(store: Store, digest: Digest) -> PackageTree | None:
    """The package's tree if the store has it whole."""
    folder = store.path("packages-v1", digest.hex)
    if not is_whole(folder):
        return None
    with open(os.path.join(folder, "package.json"), encoding="utf-8") as file:
        data = json.load(file)
    return PackageTree(
        folder,
        data["control"],
        tuple((path, md5, bool(flag)) for path, md5, flag in data["conffiles"]),
        tuple((directive, name) for directive, name in data["triggers"]),
        tuple(data["scripts"]),
    )


def add_tree(store: Store, digest: Digest, data: bytes, work: str) -> PackageTree:
    """Unpack the .deb in `data` below `work`, and publish it. Raises ArtifactHostile."""
    found = open_tree(store, digest)
    if found:
        return found
    folder = os.path.join(work, digest.hex)
    os.makedirs(folder)
    try:
        _unpack(deb_format.read(data, digest.short), folder)
        publish(folder, store.path("packages-v1", digest.hex))
    except BaseException:
        if os.path.isdir(folder):
            remove_tree(folder)
        raise
    published = open_tree(store, digest)
    assert published, "a published tree is whole"
    return published


def _unpack(package: deb_format.Deb, folder: str) -> None:
    fields = package.fields
    name = f"{fields.get('Package', '?')} {fields.get('Version', '?')}"
    tree = os.path.join(folder, "tree")
    os.makedirs(tree)
    writer = _TreeWriter(tree, name)
    conffiles = {conffile.path: conffile.remove_on_upgrade for conffile in package.conffiles}
    md5sums: dict[str, str] = {}
    paths = []
    for member in package.members():
        paths.append(member.path)
        writer.add(member)
        if f"/{member.path}" in conffiles and member.kind == "file":
            md5sums[f"/{member.path}"] = hashlib.md5(member.data, usedforsecurity=False).hexdigest()
    scripts = _write_info(writer, package, paths)
    writer.finish()
    manifest.write(folder, manifest.in_order(writer.entries.values()))
    _write_description(folder, package, scripts, [(p, md5sums.get(p, "newconffile"), f) for p, f in conffiles.items()])


def _write_info(writer: _TreeWriter, package: deb_format.Deb, paths: Iterable[str]) -> list[str]:
    """Write what dpkg keeps of an unpacked package; returns the names of the maintainer scripts."""
    prefix = f"{INFO}/{_info_name(package.fields)}"
    listing = "".join(f"/{path}\n" if path else "/.\n" for path in paths)
    writer.add_file(f"{prefix}.list", 0o644, os.fsencode(listing))
    scripts = []
    for name, (mode, content) in sorted(package.control.items()):
        if name == "control":
            continue
        if "/" in name:
            raise ArtifactHostile(f"{writer.name}: its control archive holds {name!r}")
        writer.add_file(f"{prefix}.{name}", mode & 0o777, content)
        if name in {"preinst", "postinst", "prerm", "postrm", "config"}:
            scripts.append(name)
    return scripts


def _write_description(
    folder: str, package: deb_format.Deb, scripts: list[str], conffiles: list[tuple[str, str, bool]]
) -> None:
    description = {
        "control": package.control["control"][1].decode("utf-8", "surrogateescape"),
        "conffiles": conffiles,
        "triggers": package.triggers,
        "scripts": scripts,
    }
    with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
        json.dump(description, file)


class _TreeWriter:
    """Writes members below a folder. Nothing is ever written through a link that the package itself brought."""

    def __init__(self, tree: str, name: str) -> None:
        self.entries: dict[str, Entry] = {}
        self.name = name
        self._tree = tree
        self._newest = 0

    def add(self, member: Member) -> None:
        """Write one member of the data archive."""
        self._newest = max(self._newest, member.mtime)
        path = merged_path(member.path, member.kind)
        self._ensure_parents(path)
        if member.kind == "directory":
            self._add_directory(path, member)
        elif member.kind == "file":
            self.add_file(path, member.mode, member.data, member)
        elif member.kind in {"symlink", "hardlink"}:
            self._add_link(path, member)
        # Device nodes cannot be made without privileges, and no package needs them in an environment.

    def add_file(self, path: str, mode: int, data: bytes | memoryview, member: Member | None = None) -> None:
        """Write a regular file; without `member` it is one of ours, as old as the package."""
        self._ensure_parents(path)
        uid, gid, mtime = (member.uid, member.gid, member.mtime) if member else (0, 0, self._newest)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._claim(path), flags, 0o600)
        try:
            _write_all(descriptor, data)
            if uid or gid:
                os.setxattr(descriptor, manifest.OWNER_ATTRIBUTE, b"%d:%d" % (uid, gid))
            os.fchmod(descriptor, mode)
            os.utime(descriptor, (mtime, mtime))
        finally:
            os.close(descriptor)
        digest = hashlib.sha256(data).hexdigest()
        self.entries[path] = Entry(path, "file", mode, uid, gid, mtime, len(data), digest)

    def finish(self) -> None:
        """Give folders their modes and times, now that nothing is written into them any more."""
        for path in sorted(self.entries, reverse=True):
            entry = self.entries[path]
            if entry.is_directory:
                full = os.path.join(self._tree, path)
                os.chmod(full, entry.mode | 0o700)
                os.utime(full, (entry.mtime, entry.mtime))

    def _add_directory(self, path: str, member: Member) -> None:
        known = self.entries.get(path)
        if known and not known.is_directory:
            raise ArtifactHostile(f"{self.name}: {path!r} is a folder and a {known.kind} at once")
        if not known:
            os.mkdir(os.path.join(self._tree, path)) if path else None
        self.entries[path] = Entry(path, "directory", member.mode, member.uid, member.gid, member.mtime)

    def _add_link(self, path: str, member: Member) -> None:
        full = self._claim(path)
        if member.kind == "symlink":
            os.symlink(member.target, full)
            os.utime(full, (member.mtime, member.mtime), follow_symlinks=False)
            self.entries[path] = Entry(
                path, "symlink", 0o777, member.uid, member.gid, member.mtime, target=member.target
            )
            return
        target = merged_path(member.target, "file")
        original = self.entries.get(target)
        if not original or original.kind != "file":
            raise ArtifactHostile(f"{self.name}: {path!r} is a hard link to {target!r}, which is no file of its own")
        os.link(os.path.join(self._tree, target), full, follow_symlinks=False)
        self.entries[path] = original._replace(path=path, kind="hardlink", size=0, digest="", target=target)

    def _claim(self, path: str) -> str:
        if path in self.entries:
            raise ArtifactHostile(f"{self.name}: {path!r} stands in it twice")
        return os.path.join(self._tree, path)

    def _ensure_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if not parent:
            return
        known = self.entries.get(parent)
        if known is None:
            self._ensure_parents(parent)
            os.mkdir(os.path.join(self._tree, parent))
            self.entries[parent] = Entry(parent, "directory", 0o755, 0, 0, 0)
        elif not known.is_directory:
            raise ArtifactHostile(f"{self.name}: {path!r} would be written through the {known.kind} {parent!r}")


def merged_path(path: str, kind: str = "file") -> str:
    """Where a path of a package is in a /usr-merged root."""
    first, _, rest = path.partition("/")
    if first in MERGED and (rest or kind == "directory"):
        return f"usr/{path}"
    return path


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
