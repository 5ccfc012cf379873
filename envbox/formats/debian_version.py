"""The order of Debian versions (deb-version(7)), as plain tuples of text that Python compares in C."""

from __future__ import annotations

import re

Key = tuple[str, str, str]

_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
# Where one version ends and the other goes on, "~" sorts before the end, then letters, then all else.
_END = "\x02"
_ORDER = {code: chr(code + 0x100) for code in range(0x80) if not chr(code).isalnum()} | {ord("~"): "\x01"}


def key(version: str) -> Key:
    """A sort key: keys compare as dpkg compares the versions. An epoch that is no number counts as text."""
    epoch, colon, rest = version.partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return _number(epoch), _component(upstream), _component(revision)


def compare(one: str, other: str) -> int:
    """-1, 0 or 1 as `one` is older than, equal to or newer than `other`."""
    left, right = key(one), key(other)
    return (left > right) - (left < right)


def _component(text: str) -> str:
    # Alternating text and numbers, as verrevcmp() of dpkg walks them. The last match is empty, and stands
    # for the end, unless it is the only one.
    parts = _PARTS.findall(text)
    pieces = [f"{word.translate(_ORDER)}{_END}{_number(digits)}" for word, digits in parts[:-1] or parts]
    return "".join(pieces) + _END


def _number(digits: str) -> str:
    # The longer number is the bigger one; among equally long ones the text's order is the numbers' order.
    significant = digits.lstrip("0")
    return chr(min(len(significant), 0x10FFFF)) + significant
