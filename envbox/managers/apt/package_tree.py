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
from envbox.store.removal import remove_tree
from envbox.store.tree_writer import TreeWriter
from envbox.store.work import is_whole, publish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbox.store.manifest import Entry
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
    writer = TreeWriter(tree, name, merged_path)
    conffiles = {conffile.path: conffile.remove_on_upgrade for conffile in package.conffiles}
    unlisted = "md5sums" not in package.control
    md5sums: dict[str, str] = {}
    paths = []
    for member in package.members():
        if manifest.is_reserved(member.path):
            raise ArtifactHostile(f"{name}: {member.path!r} is a name by which layers tell what they hide")
        paths.append(member.path)
        writer.add(member)
        if member.kind == "file" and (unlisted or f"/{member.path}" in conffiles):
            md5sums[f"/{member.path}"] = hashlib.md5(member.data, usedforsecurity=False).hexdigest()
        elif member.kind == "hardlink" and unlisted:
            md5sums[f"/{member.path}"] = md5sums[f"/{member.target}"]
    scripts = _write_info(writer, package, paths)
    if unlisted:  # dpkg makes the list then
        lines = "".join(f"{md5}  {path[1:]}\n" for path, md5 in md5sums.items())
        writer.add_file(f"{INFO}/{_info_name(fields)}.md5sums", 0o644, os.fsencode(lines))
    writer.finish()
    manifest.write(folder, manifest.in_order(writer.entries.values()))
    _write_description(folder, package, scripts, [(p, md5sums.get(p, "newconffile"), f) for p, f in conffiles.items()])


def _write_info(writer: TreeWriter, package: deb_format.Deb, paths: Iterable[str]) -> list[str]:
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


def merged_path(path: str, kind: str = "file") -> str:
    """Where a path of a package is in a /usr-merged root."""
    first, _, rest = path.partition("/")
    if first in MERGED and (rest or kind == "directory"):
        return f"usr/{path}"
    return path
