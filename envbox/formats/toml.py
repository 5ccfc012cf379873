"""TOML text <-> values. Reading is the standard library's; writing is the little that a lock needs."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Scalar = str | int | datetime

_PLACE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?:\s|$)", re.MULTILINE)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_TO_ESCAPE = re.compile(r'[\x00-\x1f"\\\x7f\x85\u2028\u2029]')


class TomlError(ValueError):
    """A text is not TOML: 1-based `line`, `reason`, and whether a merge conflict was left in it."""

    def __init__(self, line: int, reason: str, *, conflict: bool = False) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason
        self.conflict = conflict


def loads(text: str) -> dict[str, Any]:
    """Read TOML; a byte order mark is skipped. Raises TomlError."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise TomlError(1, "its lists or tables are nested too deeply") from None
    except ValueError as error:
        conflict = _CONFLICT.search(text)
        if conflict:
            line = text.count("\n", 0, conflict.start()) + 1
            reason = f'a merge conflict was left in it ("{conflict[0].strip()}")'
            raise TomlError(line, reason, conflict=True) from None
        raise _toml_error(text, str(error)) from None


def _toml_error(text: str, message: str) -> TomlError:
    """Turn the reader's message, which ends with the place, into ours."""
    place = _PLACE.search(message)
    reason = message[: place.start()] if place else message
    reason = reason[:1].lower() + reason[1:]
    if place and place["line"]:
        return TomlError(int(place["line"]), f"{reason} at column {place['column']}")
    return TomlError(text.rstrip("\n").count("\n") + 1, f"{reason} at the end of the file")


def scalar(value: Scalar) -> str:
    """A string, an integer or a point in time (in UTC, to the second), in its one canonical form."""
    if isinstance(value, str):
        return '"' + _TO_ESCAPE.sub(_escape, value) + '"'
    if isinstance(value, datetime):
        # Not strftime: whether it pads the year with zeros depends on the C library.
        return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    return str(value)


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


def inline_table(values: Mapping[str, Scalar]) -> str:
    """`{ key = value, ... }` on one line, in the order given; the keys must be bare ones."""
    return "{ " + ", ".join(f"{key} = {scalar(value)}" for key, value in values.items()) + " }"


def list_of(items: Iterable[str]) -> str:
    """A list of values that are text already, one a line so that a diff shows which ones changed."""
    lines = "".join(f"  {item},\n" for item in items)
    return f"[\n{lines}]" if lines else "[]"
