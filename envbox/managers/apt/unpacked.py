"""The unpacked layer of a group: its package trees linked into one, with conflicts settled as dpkg settles them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from envbox.errors import BuildFailed
from envbox.formats import dependency
from envbox.managers.apt.package_tree import INFO, PackageTree
from envbox.store import manifest
from envbox.store.manifest import Entry
from envbox.store.view import join

if TYPE_CHECKING:
    from envbox.store.view import View

Diversions = Mapping[str, tuple[str, str]]
"""As in /var/lib/dpkg/diversions: path -> (where other packages' files go, the package that keeps the path)."""


def assemble(
    packages: Sequence[PackageTree],
    below: View,
    folder: str,
    links: Mapping[str, str],
    diversions: Diversions,
) -> list[Entry]:
    """Link `packages` into the empty `folder`, to lie above `below`. Returns the layer's entries.

    `links` (path -> text) are those that a base needs from its first moment. Where packages ship the same folder,
    the first one's attributes count. Raises BuildFailed where two packages ship one path and neither replaces it.
    """
    farm = _Farm(below, diversions)
    for path, target in links.items():
        farm.add_link(path, target)
    farm.learn_links(packages)
    for package in packages:
        farm.add(package)
    return farm.write(folder)


class _Place(NamedTuple):
    entry: Entry
    package: PackageTree | None
    source: str


class _Farm:
    """Plans where every file of every package goes, then links all of them."""

    def __init__(self, below: View, diversions: Diversions) -> None:
        self._below = below
        self._diversions = diversions
        self._folders: dict[str, Entry] = {}
        self._implied: set[str] = set()
        self._places: dict[str, _Place] = {}
        self._links: dict[str, str] = {}
        self._canonical: dict[str, str] = {}
        self._lists: dict[str, bytes] = {}

    def add_link(self, path: str, target: str) -> None:
        """A link that no package ships."""
        self._links[path] = target
        self._imply_folders(path)
        self._places[path] = _Place(Entry(path, "symlink", 0o777, 0, 0, 0, target=target), None, "")

    def learn_links(self, packages: Iterable[PackageTree]) -> None:
        """Links of all packages first: a package may ship files below what another ships as a link to a folder."""
        for package in packages:
            self._links.update({entry.path: entry.target for entry in package.entries if entry.kind == "symlink"})

    def add(self, package: PackageTree) -> None:
        """Plan all of a package's entries."""
        for entry in package.entries:
            if entry.is_directory:
                self._add_folder(self._folder(entry.path), entry)
                continue
            parent, _, name = entry.path.rpartition("/")
            path = join(self._folder(parent), name)
            target, keeper = self._diversions.get(path, (path, package.name))
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
        known = self._places.get(path)
        if known and not self._takes_over(path, entry, package, known):
            return
        self._imply_folders(path)
        source = os.path.join(package.tree, entry.path)
        moved = entry._replace(path=path, target=self._linked(entry))
        self._places[path] = _Place(moved, package, source)

    def _takes_over(self, path: str, entry: Entry, package: PackageTree, known: _Place) -> bool:
        other = known.package
        if other is None:
            if (known.entry.kind, known.entry.target) == (entry.kind, entry.target):
                return False
            raise BuildFailed(f"{package.name} ships /{path}, which is a link in every base")
        if _replaces(other, package):
            self._forget(package, path)
            return False
        if _replaces(package, other):
            self._forget(other, path)
            return True
        raise BuildFailed(
            f"{package.name} and {other.name} both ship /{path}",
            hint="remove one of them from `packages` in envbox.toml, then run `envbox lock`",
        )

    def _linked(self, entry: Entry) -> str:
        if entry.kind != "hardlink":
            return entry.target
        parent, _, name = entry.target.rpartition("/")
        return join(self._folder(parent), name)

    def _forget(self, package: PackageTree, path: str) -> None:
        """Take a path that another package replaces out of the list of files that dpkg keeps for `package`."""
        name = f"{INFO}/{package.info_name}.list"
        before = self._lists.get(name)
        if before is None:
            with open(os.path.join(package.tree, name), "rb") as file:
                before = file.read()
        spellings = {os.fsencode(f"/{path}"), os.fsencode(f"/{path.removeprefix('usr/')}")}
        kept = [line for line in before.splitlines(keepends=True) if line.rstrip(b"\n") not in spellings]
        self._lists[name] = b"".join(kept)

    def write(self, folder: str) -> list[Entry]:
        """Make the planned tree in `folder`, which exists and is empty."""
        folders = sorted(self._folders.values(), key=lambda entry: entry.path)
        for entry in folders:
            if entry.path:
                os.mkdir(os.path.join(folder, entry.path))
        entries = [*folders, *(self._write_place(folder, place) for place in self._places.values())]
        for entry in reversed(folders):
            full = os.path.join(folder, entry.path)
            if entry.uid or entry.gid:
                os.setxattr(full, manifest.OWNER_ATTRIBUTE, b"%d:%d" % (entry.uid, entry.gid))
            os.chmod(full, entry.mode | 0o700)
            os.utime(full, (entry.mtime, entry.mtime))
        return entries

    def _write_place(self, folder: str, place: _Place) -> Entry:
        entry = place.entry
        full = os.path.join(folder, entry.path)
        content = self._lists.get(entry.path)
        if entry.kind == "symlink":
            os.symlink(entry.target, full)
            os.utime(full, (entry.mtime, entry.mtime), follow_symlinks=False)
        elif content is None:
            _link_or_copy(place.source, full)
        else:
            with open(full, "wb") as file:
                file.write(content)
            os.chmod(full, entry.mode)
            os.utime(full, (entry.mtime, entry.mtime))
            return entry._replace(size=len(content), digest=hashlib.sha256(content).hexdigest())
        return entry


def _replaces(winner: PackageTree, loser: PackageTree) -> bool:
    if winner.name == loser.name:
        return True  # the same package for another architecture shares its files
    return any(
        relation.name == loser.name and relation.satisfied_by(loser.fields["Version"])
        for alternatives in dependency.parse(winner.fields.get("Replaces", ""), winner.fields["Architecture"])
        for relation in alternatives
    )


def _link_or_copy(source: str, target: str) -> None:
    """A hard link; where the file system does not take one more, a copy."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EMLINK, errno.EXDEV, errno.EPERM}:
            raise
        shutil.copy2(source, target, follow_symlinks=False)
