"""The Release file of an archive: when it was made, until when it holds, and the digest of every index."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envbox.errors import ArtifactHostile, ArtifactMismatch
from envbox.formats import control
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, )? ?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d{1,2}):(\d{2}):(\d{2}) (?:UTC|GMT|Z|\+0000)",
    re.ASCII,
)
# Spelled out: time.strptime reads the names of months in the locale of the host.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class IndexFile:
    """What an index must be."""

    size: int
    digest: Digest


@dataclass(frozen=True)
class Release:
    """What the archive says of itself. Times are seconds of the epoch in UTC; `valid_until` None: forever.

    `files` are the indexes by their path below the folder of Release; `by_hash`: also found by digest.
    """

    suite: str
    codename: str
    date: int
    valid_until: int | None
    architectures: tuple[str, ...]
    components: tuple[str, ...]
    by_hash: bool
    files: Mapping[str, IndexFile] = field(repr=False, compare=False)


def parse(text: str) -> Release:
    """Read a Release file, or what an InRelease signs. Raises ArtifactMismatch for one that is malformed."""
    try:
        fields = control.paragraph(text)
    except ArtifactHostile as error:
        raise ArtifactMismatch(f"The Release file is malformed. {error.message}") from error
    until = fields.get("Valid-Until")
    return Release(
        suite=fields.get("Suite", ""),
        codename=fields.get("Codename", ""),
        date=_seconds(_required(fields, "Date"), "Date"),
        valid_until=None if until is None else _seconds(until, "Valid-Until"),
        architectures=tuple(fields.get("Architectures", "").split()),
        components=tuple(fields.get("Components", "").split()),
        by_hash=fields.get("Acquire-By-Hash", "").lower() == "yes",
        files=_files(_required(fields, "SHA256")),
    )


def _required(fields: dict[str, str], name: str) -> str:
    if name not in fields:
        raise ArtifactMismatch(f"The Release file has no field {name}.")
    return fields[name]


def _seconds(text: str, name: str) -> int:
    match = _DATE.fullmatch(text)
    if not match or match[2] not in _MONTHS:
        raise ArtifactMismatch(f"The Release file's {name} is not a date in UTC: {text!r}.")
    day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
    month = _MONTHS.index(match[2]) + 1
    days = calendar.monthrange(year, month)[1] if year else 0
    if not (1 <= day <= days and hour < 24 and minute < 60 and second <= 60):
        raise ArtifactMismatch(f"The Release file's {name} is not a date: {text!r}.")
    return calendar.timegm((year, month, day, hour, minute, second))


def _files(listing: str) -> dict[str, IndexFile]:
    files = {}
    for line in listing.split("\n"):
        if not line.strip():
            continue
        try:
            digest, size, path = line.split()
            files[path] = IndexFile(_natural(size), Digest(digest))
        except ValueError as error:
            raise ArtifactMismatch(
                f"The Release file's SHA256 has a line that is not 'digest size path': {line!r}."
            ) from error
    return files


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)
