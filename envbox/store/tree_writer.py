"""Unpacks an artifact into a folder, however hostile the artifact."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from envbox.errors import ArtifactHostile
from envbox.sandbox.owners import ATTRIBUTE as OWNER_ATTRIBUTE
from envbox.store.manifest import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from envbox.formats.tar import Member


class TreeWriter:
    """Writes an archive's members below the empty folder `tree`, and keeps the entries of what it wrote.

    `place` tells where a path, of a kind, goes. Nothing is ever written through a link that the archive itself brought,
    nor over what it wrote before: both raise ArtifactHostile naming `name`.
    """

    def __init__(self, tree: str, name: str, place: Callable[[str, str], str]) -> None:
        self.entries: dict[str, Entry] = {}
        self.name = name
        self._tree = tree
        self._place = place
        self._newest = 0

    def add(self, member: Member) -> None:
        """Write one member of the data archive."""
        self._newest = max(self._newest, member.mtime)
        path = self._place(member.path, member.kind)
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
                os.setxattr(descriptor, OWNER_ATTRIBUTE, b"%d:%d" % (uid, gid))
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
        target = self._place(member.target, "file")
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


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
