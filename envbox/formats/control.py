"""The control file format (deb822(5)): paragraphs of `Field: value`, with indented continuation lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envbox.errors import ArtifactHostile

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELD = re.compile(r"([!-9;-~]+):")


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Every paragraph, in order. The first line of a value is stripped, its continuation lines are kept.

    Raises ArtifactHostile naming the line that is neither a field nor a continuation, or repeats a field.
    """
    fields: dict[str, str] = {}
    last = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line[:1] in {" ", "\t"} and line.strip():
            if not last:
                raise ArtifactHostile(f"Line {number} continues a field, but there is none: {line.strip()!r}")
            fields[last] += "\n" + line
        elif not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif not line.startswith("#"):
            last, value = _field(line, number)
            if last in fields:
                raise ArtifactHostile(f"Line {number} gives the field {last} a second time.")
            fields[last] = value
    if fields:
        yield fields


def paragraph(text: str) -> dict[str, str]:
    """The only paragraph of `text`. Raises ArtifactHostile where there are none or more."""
    found = list(paragraphs(text))
    if len(found) != 1:
        raise ArtifactHostile(f"There should be one paragraph of fields, and there are {len(found)}.")
    return found[0]


def _field(line: str, number: int) -> tuple[str, str]:
    match = _FIELD.match(line)
    if not match:
        raise ArtifactHostile(f"Line {number} is not 'Field: value': {line[:80]!r}")
    return match[1], line[match.end() :].strip()
