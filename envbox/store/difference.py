"""Where two manifests differ, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbox.store.manifest import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST = 20


def describe(expected: Sequence[Entry], found: Sequence[Entry]) -> list[str]:
    """One line for every path that differs, at most twenty and how many more there are."""
    lines = list(_differences({e.path: e for e in expected}, {e.path: e for e in found}))
    if len(lines) > _MOST:
        return [*lines[:_MOST], f"and {len(lines) - _MOST} more"]
    return lines


def _differences(expected: dict[str, Entry], found: dict[str, Entry]) -> Iterable[str]:
    for path in sorted(expected.keys() | found.keys()):
        before, after = expected.get(path), found.get(path)
        if before is None:
            yield f"/{path}: new"
        elif after is None:
            yield f"/{path}: missing"
        elif before != after:
            names = [name for name, a, b in zip(Entry._fields, before, after, strict=True) if a != b]
            yield f"/{path}: other {', '.join('content' if name == 'digest' else name for name in names)}"
