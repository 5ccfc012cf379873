"""Documentation pages as data: their fenced blocks, and the commands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.guards.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = re.compile(r"^```(?P<kind>\w+)?(?: (?P<name>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: `kind` is its language, `name` the file that it is the content of."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True)
class Step:
    """A command of a console block and the output shown; lines of `...` stand for any, at an end for any rest."""

    command: str
    expected: tuple[str, ...]


def pages() -> list[Path]:
    """All pages that a person reads."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["kind"] or "", match["name"] or "", match["text"]) for match in found]


def steps(block: Block) -> Iterator[Step]:
    """The commands of a console block."""
    command, expected = "", []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield Step(command, tuple(expected))
            command, expected = line[2:], []
        else:
            expected.append(line)
    if command:
        yield Step(command, tuple(expected))


def matches(expected: tuple[str, ...], output: str) -> bool:
    """True if the output is what the page shows, but for numbers, digests and what `...` leaves out."""
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:.*\n)*?"
        elif line.endswith("..."):
            pattern += re.escape(_plain(line[:-3])) + r".*\n"
        else:
            pattern += re.escape(_plain(line)) + r"\n"
    text = "".join(f"{_plain(line)}\n" for line in output.splitlines())
    return re.fullmatch(pattern, text) is not None


def _plain(line: str) -> str:
    line = re.sub(r"\b[0-9a-f]{12,}\b", "H", line)
    return re.sub(r"\d+", "0", line).rstrip()
