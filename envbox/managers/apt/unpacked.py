"""The unpacked layer of a group: its package trees linked into one, with conflicts settled as dpkg settles them."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from envbox.errors import BuildFailed
from envbox.formats import dependency
from envbox.host import reflink
from envbox.managers.apt.package_tree import INFO
from envbox.sandbox.owners import ATTRIBUTE as OWNER_ATTRIBUTE
from envbox.store.manifest import Entry
from envbox.store.view import join

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envbox.managers.apt.installed import Installed
    from envbox.managers.apt.package_tree import PackageTree
    from envbox.store.view import View


class Place(NamedTuple):
    """Where a package's file goes: `entry` as it will be, `source` the file in the package's tree."""

    entry: Entry
    package: PackageTree | None
    source: str


class Farm:
    """Plans where every file of a group's packages goes above `below`, and links all of them.

    `links` (path -> text) are those that a base needs from its first moment. Where packages ship the same folder, the
    first one's attributes count. Raises BuildFailed where a path has two owners and neither gives way.
    """

    def __init__(
        self, packages: Sequence[PackageTree], below: View, installed: Installed, links: Mapping[str, str]
    ) -> None:
        self.late: dict[str, Place] = {}
        """Files whose package diverts what is at their path: they come once its preinst script has made room."""
        self._packages = packages
        self._below = below
        self._installed = installed
        self._folders: dict[str, Entry] = {}
        self._implied: set[str] = set()
        self._places: dict[str, Place] = {}
        self._links: dict[str, str] = {}
        self._canonical: dict[str, str] = {}
        self._lists: dict[str, bytes] = {}
        for path, target in links.items():
            self._add_link(path, target)
        for package in packages:  # all links first: a package may ship files below another's link to a folder
            self._links.update({entry.path: entry.target for entry in package.entries if entry.kind == "symlink"})
        for package in packages:
            self._add(package)

    def _add_link(self, path: str, target: str) -> None:
        """A link that no package ships."""
        self._links[path] = target
        self._imply_folders(path)
        self._places[path] = Place(Entry(path, "symlink", 0o777, 0, 0, 0, target=target), None, "")

    def _add(self, package: PackageTree) -> None:
        for entry in package.entries:
            if entry.is_directory:
                self._add_folder(self._folder(entry.path), entry)
                continue
            parent, _, name = entry.path.rpartition("/")
            path = join(self._folder(parent), name)
            target, keeper = self._installed.diversions.get(path, (path, package.name))
            self._place(path if keeper == package.name else target, entry, package)

    def _folder(self, path: str) -> str:
        known = self._canonical.get(path)
        if known is None:
            known = self._canonical[path] = self._below.canonical_folder(path, self._links)
        return known

    def _imply_folders(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent not in self._folders:
            if parent:
                self._imply_folders(parent)
            lower = self._below.get(parent)
            if lower and lower.is_directory:
                self._folders[parent] = lower._replace(kind="directory")
            else:
                self._folders[parent] = Entry(parent, "directory", 0o755, 0, 0, 0)
                self._implied.add(parent)

    def _add_folder(self, path: str, entry: Entry) -> None:
        self._imply_folders(join(path, "."))  # as below, where dpkg leaves a folder that exists as it is
        if path in self._implied:
            self._implied.discard(path)
            self._folders[path] = entry._replace(path=path)

    def _place(self, path: str, entry: Entry, package: PackageTree) -> None:
        if path in self._folders and entry.kind == "symlink":
            return  # dpkg keeps a folder where a package ships a link
        source = f"{package.tree}/{entry.path}"
        place = Place(entry._replace(path=path, target=self._linked(entry)), package, source)
        known = self._places.get(path)
        if known and not self._takes_over(place, known):
            return
        if not known and not self._may_cover(place):
            self.late[path] = place
            return
        self._imply_folders(path)
        self._places[path] = place

    def _takes_over(self, place: Place, known: Place) -> bool:
        """Whether `place` goes where another package of the group has a file already."""
        package, other, path = place.package, known.package, place.entry.path
        assert package, "only packages bring files"
        if other is None:
            if (known.entry.kind, known.entry.target) == (place.entry.kind, place.entry.target):
                return False
            raise BuildFailed(f"{package.name} ships /{path}, which is a link in every base")
        if replaces(other, package.name, package.fields["Version"]):
            self._forget(package.info_name, path)
            return False
        if replaces(package, other.name, other.fields["Version"]):
            self._forget(other.info_name, path)
            return True
        if package.diverts or other.diverts:
            self.late[path] = place if package.diverts else known
            return not package.diverts
        raise _conflict(package.name, other.name, path)

    def _may_cover(self, place: Place) -> bool:
        """Whether `place` may hide what the layers below have at its path; if not, the preinst has to make room."""
        package, path = place.package, place.entry.path
        lower = self._below.get(path)
        if lower is None or lower.is_directory or package is None:
            return True
        owner = self._installed.owner(path)
        if owner is None:
            return True
        if replaces(package, owner.name, owner.version):
            self._forget(owner.info_name, path)
            return True
        if package.diverts:
            return False
        raise _conflict(package.name, owner.name, path)

    def _linked(self, entry: Entry) -> str:
        if entry.kind != "hardlink":
            return entry.target
        parent, _, name = entry.target.rpartition("/")
        return join(self._folder(parent), name)

    def _forget(self, info_name: str, path: str) -> None:
        """Take a path that another package replaces out of the list of files that dpkg keeps for its package."""
        name = f"{INFO}/{info_name}.list"
        before = self._lists.get(name)
        if before is None:
            before = self._read_list(name)
        spellings = {os.fsencode(f"/{path}"), os.fsencode(f"/{path.removeprefix('usr/')}")}
        kept = [line for line in before.splitlines(keepends=True) if line.rstrip(b"\n") not in spellings]
        self._lists[name] = b"".join(kept)

    def _read_list(self, name: str) -> bytes:
        # A package of the group may come later than the one that replaces its file.
        for package in self._packages:
            if name == f"{INFO}/{package.info_name}.list":
                with open(os.path.join(package.tree, name), "rb") as file:
                    return file.read()
        return os.fsencode(self._installed.read(name))

    def write(self, folder: str) -> list[Entry]:
        """Make the planned tree in `folder`, which exists and is empty; returns the layer's entries."""
        for name in self._lists.keys() - self._places.keys():
            self._imply_folders(name)
            lower = self._below.get(name)
            assert lower, "a list that is not the group's own is below"
            self._places[name] = Place(lower, None, "")
        for path, place in self._places.items():
            if place.entry.kind == "hardlink":
                self._places[path] = self._with_its_file(place)
        folders = sorted(self._folders.values(), key=lambda entry: entry.path)
        for entry in folders:
            if entry.path:
                os.mkdir(os.path.join(folder, entry.path))
        entries = [*folders, *(self._write_place(folder, place) for place in self._places.values())]
        for entry in reversed(folders):
            full = os.path.join(folder, entry.path)
            if entry.uid or entry.gid:
                os.setxattr(full, OWNER_ATTRIBUTE, b"%d:%d" % (entry.uid, entry.gid))
            os.chmod(full, entry.mode | 0o700)
            os.utime(full, (entry.mtime, entry.mtime))
        return entries

    def _with_its_file(self, place: Place) -> Place:
        """A name shares a file only with one of its own package; where that went elsewhere, it is a file itself."""
        package, entry = place.package, place.entry
        shared = self._places.get(entry.target)
        if package is None or (shared and shared.package is package and shared.entry.kind == "file"):
            return place
        path = os.path.relpath(place.source, package.tree)
        by_path = {found.path: found for found in package.entries}
        original = by_path[by_path[path].target]
        return place._replace(entry=original._replace(path=entry.path))

    def _write_place(self, folder: str, place: Place) -> Entry:
        entry = place.entry
        full = f"{folder}/{entry.path}"
        content = self._lists.get(entry.path)
        if entry.kind == "symlink":
            os.symlink(entry.target, full)
            os.utime(full, (entry.mtime, entry.mtime), follow_symlinks=False)
        elif content is None:
            link_or_copy(place.source, full)
        else:  # a list that lost a line
            with open(full, "wb") as file:
                file.write(content)
            os.chmod(full, entry.mode)
            os.utime(full, (entry.mtime, entry.mtime))
            return entry._replace(size=len(content), digest=hashlib.sha256(content).hexdigest())
        return entry


def _conflict(name: str, other: str, path: str) -> BuildFailed:
    return BuildFailed(
        f"{name} and {other} both ship /{path}",
        hint="remove one of them from `packages` in envbox.toml, then run `envbox lock`",
    )


def replaces(winner: PackageTree, name: str, version: str) -> bool:
    """Whether `winner` may take files over from the package named (deb-control(5), Replaces)."""
    if winner.name == name:
        return True  # the same package for another architecture shares its files
    return any(
        relation.name == name and relation.satisfied_by(version)
        for alternatives in dependency.parse(winner.fields.get("Replaces", ""), winner.fields["Architecture"])
        for relation in alternatives
    )


def link_or_copy(source: str, target: str) -> None:
    """A hard link; where the file system does not take one more, a copy."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EMLINK, errno.EXDEV, errno.EPERM}:
            raise
        reflink.copy(source, target)
