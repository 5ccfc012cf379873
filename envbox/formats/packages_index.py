"""A Packages file: tens of megabytes of paragraphs, of which a build needs a few hundred.

So a few are looked for in the text as it is. Whoever wants more has all of them split and named at once; parsed they
are one by one when they are asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from envbox.errors import ArtifactHostile, ArtifactMismatch
from envbox.formats import control
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_NAME = re.compile(rb"^Package:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
_PROVIDES = re.compile(rb"^Provides:(.*(?:\n[ \t].*)*)", re.MULTILINE)
_PROVIDED = re.compile(r"([^ ,(:]+)(?::[^ ,(]+)? ?(?:\( ?= ?([^ )]+) ?\))? ?(?:,|$)")


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
        self._data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        self._found: dict[str, tuple[Package, ...]] = {}
        self._providers: dict[str, list[tuple[str, str]]] | None = None

    @cached_property
    def _paragraphs(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for paragraph in self._data.split(b"\n\n"):
            if paragraph[:1] > b"\n" or paragraph.strip():
                found.setdefault(_name(paragraph), []).append(paragraph)
        return found

    @cached_property
    def _is_plain(self) -> bool:
        """Whether every paragraph begins with its name, spelled as usual, so that it can be found by it."""
        data = self._data
        starts = data.count(b"\n\nPackage: ") + data.startswith(b"Package: ")
        return starts == data.count(b"\nPackage:") + data.startswith(b"Package:") and b"\n\n\n" not in data

    def _named(self, name: str) -> list[bytes]:
        if "_paragraphs" in self.__dict__ or not self._is_plain:
            return self._paragraphs.get(name, [])
        return list(self._around(b"Package: %b\n" % name.encode("utf-8", "surrogateescape")))

    def _around(self, line: bytes) -> Iterator[bytes]:
        """The paragraphs with this line."""
        data = self._data
        at = 0 if data.startswith(line) else data.find(b"\n" + line)
        while at >= 0:
            before, after = data.rfind(b"\n\n", 0, at + 1), data.find(b"\n\n", at)
            end = after if after >= 0 else len(data)
            yield data[before + 2 if before >= 0 else 0 : end]
            at = data.find(b"\n" + line, end)

    def names(self) -> Collection[str]:
        """The name of every package."""
        return self._paragraphs.keys()

    def find(self, name: str) -> tuple[Package, ...]:
        """The packages of this name, in the order of the index: every version and architecture it has."""
        found = self._found.get(name)
        if found is None:
            found = tuple(_package(paragraph) for paragraph in self._named(name))
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
        line = b"Filename: %b\n" % path.encode("utf-8", "surrogateescape")
        return next((_package(paragraph) for paragraph in self._around(line)), None)

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
