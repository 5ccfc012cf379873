"""The .deb package (deb(5)): its control files, and its content as one uncompressed tar."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from envbox.errors import ArtifactHostile
from envbox.formats import ar, compression, control, tar

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPRESSIONS = ("", ".xz", ".gz", ".zst", ".bz2", ".lzma")
_DIRECTIVES = frozenset(
    ("interest", "interest-await", "interest-noawait", "activate", "activate-await", "activate-noawait")
)
_HINT = "It is not safe to unpack. Leave the package out, or take it from another archive."
# These become names of files in the package database, so that nothing else may stand in them.
_SAFE = {
    "Package": re.compile(r"[a-zA-Z0-9][a-zA-Z0-9+.-]*"),
    "Version": re.compile(r"[^\s/]+"),
    "Architecture": re.compile(r"[a-z0-9][a-z0-9-]*"),
}


@dataclass(frozen=True)
class Conffile:
    """A configuration file that upgrades keep: its absolute path, as the package spells it."""

    path: str
    remove_on_upgrade: bool = False


@dataclass(frozen=True)
class Deb:
    """A package: its control files by name, with mode and content, and its uncompressed data.tar.

    Everything that reads them raises ArtifactHostile naming the package's file.
    """

    control: dict[str, tuple[int, bytes]]
    data: bytes = field(repr=False)
    name: str = ""

    @cached_property
    def fields(self) -> dict[str, str]:
        """The file `control`; its Package, Version and Architecture are there and safe in file names."""
        try:
            fields = control.paragraph(self._text("control"))
        except ArtifactHostile as error:
            raise _named(self.name, error) from error
        for name, pattern in _SAFE.items():
            if not pattern.fullmatch(fields.get(name, "")):
                self._refuse(f"Its control file says {name}: {fields.get(name, '')!r}.")
        return fields

    def members(self) -> Iterator[tar.Member]:
        """What the package unpacks, in its order."""
        try:
            yield from tar.read(self.data)
        except ArtifactHostile as error:
            raise _named(self.name, error) from error

    @cached_property
    def conffiles(self) -> tuple[Conffile, ...]:
        """The file `conffiles`, in its order."""
        found = []
        for line in filter(str.strip, self._text("conffiles").split("\n")):
            flag, _, path = ("", "", line) if line.startswith("/") else line.partition(" ")
            path = path.strip()
            if flag not in {"", "remove-on-upgrade"} or path[:1] != "/" or ".." in path.split("/"):
                self._refuse(f"Its conffiles has the line {line!r}.")
            found.append(Conffile(path, bool(flag)))
        return tuple(found)

    @cached_property
    def triggers(self) -> tuple[tuple[str, str], ...]:
        """The file `triggers`, in its order: directives, each with the name or path that it is about."""
        found = []
        for line in self._text("triggers").split("\n"):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or words[0] not in _DIRECTIVES:
                self._refuse(f"Its triggers has the line {line!r}.")
            found.append((words[0], words[1]))
        return tuple(found)

    def _text(self, name: str) -> str:
        return self.control.get(name, (0, b""))[1].decode("utf-8", "surrogateescape")

    def _refuse(self, reason: str) -> NoReturn:
        raise ArtifactHostile(f"{self.name}: {reason}", hint=_HINT)


def read(data: bytes | memoryview, name: str) -> Deb:
    """Read a .deb; `name` is what errors call it. Raises ArtifactHostile for one that is malformed."""
    try:
        members = _members(data)
        files = _control_files(_part(members, "control.tar"))
        package = Deb(files, _part(members, "data.tar"), name)
    except ArtifactHostile as error:
        raise _named(name, error) from error
    package.fields  # noqa: B018  # a package without a name is refused now
    return package


def _members(data: bytes | memoryview) -> dict[str, memoryview]:
    members = ar.members(data)
    if not bytes(members.get("debian-binary", b"")).startswith(b"2."):
        raise ArtifactHostile("It is not a Debian package of format 2.")
    return members


def _part(members: dict[str, memoryview], stem: str) -> bytes:
    for suffix in _COMPRESSIONS:
        if stem + suffix in members:
            return compression.decompress(stem + suffix, members[stem + suffix])
    raise ArtifactHostile(f"It has no {stem}.")


def _control_files(archive: bytes) -> dict[str, tuple[int, bytes]]:
    files = {}
    for member in tar.read(archive):
        if member.kind == "directory" and not member.path:
            continue
        if member.kind != "file" or "/" in member.path:
            raise ArtifactHostile(f"Its control.tar has {member.path!r}, a {member.kind}.")
        files[member.path] = (member.mode, bytes(member.data))
    return files


def _named(name: str, error: ArtifactHostile) -> ArtifactHostile:
    return ArtifactHostile(f"{name}: {error.message}", hint=error.hint or _HINT)
