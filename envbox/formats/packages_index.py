"""A Packages file: tens of megabytes of paragraphs, of which a build needs a few hundred.

So paragraphs are split and named at once, and parsed one by one when they are asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envbox.errors import ArtifactHostile, ArtifactMismatch
from envbox.formats import control
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_NAME = re.compile(rb"^Package:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
_PROVIDES = re.compile(rb"^Provides:(.*(?:\n[ \t].*)*)", re.MULTILINE)
_PROVIDED = re.compile(r"([^ ,(:]+)(?::[^ ,(]+)? ?(?:\( ?= ?([^ )]+) ?\))? ?(?:,|$)")
_FILENAME = b"\nFilename: "


@dataclass(frozen=True)
class Package:
    """One package of an index; `filename` is relative to the archive's mirror."""

    name: str
    version: str
    architecture: str
    filename: str
    size: int
    digest: Digest
    fields: Mapping[str, str] = field(repr=False, compare=False)


class PackagesIndex:
    """What an archive offers for one component and architecture.

    Raises ArtifactMismatch for a paragraph without a name, and once one is read that lacks what it needs.
    """

    def __init__(self, text: str | bytes) -> None:
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        self._paragraphs: dict[str, list[bytes]] = {}
        for paragraph in data.split(b"\n\n"):
            if paragraph[:1] > b"\n" or paragraph.strip():
                name = _name(paragraph)
                self._paragraphs.setdefault(name, []).append(paragraph)
        self._found: dict[str, tuple[Package, ...]] = {}
        self._providers: dict[str, list[tuple[str, str]]] | None = None
        self._by_filename: dict[bytes, bytes] | None = None

    def names(self) -> Collection[str]:
        """The name of every package."""
        return self._paragraphs.keys()

    def find(self, name: str) -> tuple[Package, ...]:
        """The packages of this name, in the order of the index: every version and architecture it has."""
        found = self._found.get(name)
        if found is None:
            found = tuple(_package(paragraph) for paragraph in self._paragraphs.get(name, ()))
            self._found[name] = found
        return found

    def providers(self, virtual_name: str) -> tuple[tuple[str, str], ...]:
        """Who provides this name: packages, each with the version it provides, empty where it says none."""
        if self._providers is None:
            self._providers = self._provided()
        return tuple(self._providers.get(virtual_name, ()))

    def where(self, name: str, value: str) -> Iterator[Package]:
        """The packages whose field `name` is exactly `value`."""
        field_name, wanted = name.encode(), re.escape(value.encode("utf-8", "surrogateescape"))
        pattern = re.compile(rb"^%b:[ \t]*%b[ \t]*$" % (re.escape(field_name), wanted), re.MULTILINE)
        start = field_name + b":"
        for paragraphs in self._paragraphs.values():
            for paragraph in paragraphs:
                # The regular expression is only worth its price near the field.
                position = paragraph.find(start)
                if position >= 0 and pattern.search(paragraph, position):
                    package = _package(paragraph)
                    if package.fields.get(name) == value:
                        yield package

    def by_filename(self, path: str) -> Package | None:
        """The package in the file at `path`, spelled as in the index."""
        if self._by_filename is None:
            self._by_filename = self._filenames()
        paragraph = self._by_filename.get(path.encode("utf-8", "surrogateescape"))
        return None if paragraph is None else _package(paragraph)

    def _filenames(self) -> dict[bytes, bytes]:
        filenames = {}
        for paragraphs in self._paragraphs.values():
            for paragraph in paragraphs:
                _, found, rest = paragraph.partition(_FILENAME)
                if found:
                    filenames[rest.partition(b"\n")[0].strip()] = paragraph
        return filenames

    def _provided(self) -> dict[str, list[tuple[str, str]]]:
        providers: dict[str, list[tuple[str, str]]] = {}
        for name, paragraphs in self._paragraphs.items():
            for paragraph in paragraphs:
                if b"Provides:" not in paragraph:
                    continue
                for match in _PROVIDES.finditer(paragraph):
                    text = " ".join(match[1].decode("utf-8", "surrogateescape").split())
                    for virtual, version in _PROVIDED.findall(text):
                        providers.setdefault(virtual, []).append((name, version))
        return providers


def _name(paragraph: bytes) -> str:
    # Archives put the name first; then a slice will do.
    if paragraph.startswith(b"Package: "):
        end = paragraph.find(b"\n")
        name = paragraph[9 : end if end > 0 else None].strip()
        if name:
            return name.decode("utf-8", "surrogateescape")
    match = _NAME.search(paragraph)
    if not match:
        start = paragraph.strip()[:60].decode("utf-8", "backslashreplace")
        raise ArtifactMismatch(f"The Packages index has a paragraph without a package's name: {start!r}.")
    return match[1].decode("utf-8", "surrogateescape")


def _package(paragraph: bytes) -> Package:
    name = _name(paragraph)
    try:
        fields = control.paragraph(paragraph.decode("utf-8", "surrogateescape"))
        return Package(
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields["Architecture"],
            filename=fields["Filename"],
            size=_natural(fields["Size"]),
            digest=Digest(fields["SHA256"].lower()),
            fields=fields,
        )
    except ArtifactHostile as error:
        raise ArtifactMismatch(f"The Packages index is malformed at {name}. {error.message}") from error
    except KeyError as error:
        raise ArtifactMismatch(f"The Packages index has no {error.args[0]} for {name}.") from error
    except ValueError as error:
        raise ArtifactMismatch(f"The Packages index has no valid size and SHA256 for {name}.") from error


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)
