"""Where two manifests differ, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from envbox.store import manifest
from envbox.values import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from envbox.store.manifest import Entry

NEW, MISSING = "new", "missing"


class Difference(NamedTuple):
    """What is other than expected at a path."""

    path: str
    what: str

    def __str__(self) -> str:
        return visible(f"/{self.path}: {self.what}" if self.path else self.what)


def compare(expected: Iterable[Entry], found: Iterable[Entry]) -> tuple[Difference, ...]:
    """Every path that differs, in order."""
    before = {entry.path: entry for entry in manifest.canonical(expected)}
    after = {entry.path: entry for entry in manifest.canonical(found)}
    lines = (Difference(path, told(before.get(path), after.get(path))) for path in before.keys() | after.keys())
    return tuple(sorted(line for line in lines if line.what))


def told(expected: Entry | None, found: Entry | None) -> str:
    """What is other at a path, empty if nothing is."""
    if expected is None or found is None:
        return NEW if expected is None else MISSING
    return ", ".join(_attributes(expected, found))


def _attributes(expected: Entry, found: Entry) -> Iterator[str]:
    if expected.kind != found.kind:
        yield f"a {found.kind}, not a {expected.kind}"
        return
    if expected.target != found.target:
        yield f"leads to {found.target}, not {expected.target}"
    if expected.kind in {"whiteout", "hardlink"}:
        return
    if (found.size, found.digest) != (expected.size, expected.digest):
        yield "content"
    if found.mode != expected.mode:
        yield f"mode {found.mode:04o}, not {expected.mode:04o}"
    if (found.uid, found.gid) != (expected.uid, expected.gid):
        yield f"owner {found.uid}:{found.gid}, not {expected.uid}:{expected.gid}"
    if found.mtime != expected.mtime:
        yield "time"
    if found.xattrs != expected.xattrs:
        yield "attributes"


def lines(differences: Sequence[Difference], most: int) -> list[str]:
    """For people, at most so many and how many more there are."""
    listed = [str(difference) for difference in differences[:most]]
    return [*listed, f"and {len(differences) - most} more"] if len(differences) > most else listed
