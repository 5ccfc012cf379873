"""On which line each key and list item of a TOML text stands, which tomllib does not tell."""

from __future__ import annotations

import bisect
import contextlib
import re
from itertools import accumulate

from envbox.formats import toml

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[^\s.=\]\"']+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def positions(text: str) -> dict[Path, int]:
    """The 1-based line of every key path, list items included, of a text that `toml.loads` accepts.

    A table that several lines contribute to stands at the first of them.
    """
    scanner = _Scanner(text)
    # Nesting that just passes the reader may be too deep for the scanner; the outer lines are known then.
    with contextlib.suppress(RecursionError):
        scanner.scan()
    return scanner.lines


class _Scanner:
    """Walks the text once. It trusts the text to be valid, and stops where it is not."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff")
        self._at = 0
        self._line_ends = list(accumulate(len(line) + 1 for line in self._text.split("\n")))
        self.lines: dict[Path, int] = {}
        self._tables_in: dict[Path, int] = {}
        """How many tables each array of tables has so far."""

    def scan(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            before = self._at
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
            if self._at == before:
                break

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the path of the table that the next lines fill."""
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        *parents, last = self._key()
        path: Path = ()
        for part in parents:
            path = self._note((*path, part), line)
            if path in self._tables_in:
                path = (*path, self._tables_in[path] - 1)
        path = self._note((*path, last), line)
        if is_array:
            count = self._tables_in[path] = self._tables_in.get(path, 0) + 1
            path = self._note((*path, count - 1), line)
        self._at += 2 if is_array else 1
        return path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for part in self._key():
            path = self._note((*path, part), line)
        self._skip(_SPACE)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[str]:
        """A dotted key, and the blanks around it."""
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            quoted = self._match(_STRING)
            parts.append(str(toml.loads(f"key = {quoted}")["key"]) if quoted else self._match(_BARE_KEY))
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        if self._text.startswith("[", self._at):
            self._list(path)
        elif self._text.startswith("{", self._at):
            self._inline_table(path)
        elif not self._match(_STRING):
            self._skip(_SCALAR)

    def _list(self, path: Path) -> None:
        index = 0
        self._at += 1  # the opening bracket
        while self._has_item("]"):
            self._value(self._note((*path, index), self._line()))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1  # the opening bracket
        while self._has_item("}"):
            self._pair(path)

    def _has_item(self, end: str) -> bool:
        """Step over blanks and a comma to the next item, or past `end`."""
        self._skip(_BLANK)
        if self._text.startswith(",", self._at):
            self._at += 1
        self._skip(_BLANK)
        if not self._text.startswith(end, self._at):
            return self._at < len(self._text)
        self._at += 1
        return False

    def _note(self, path: Path, line: int) -> Path:
        self.lines.setdefault(path, line)
        return path

    def _line(self) -> int:
        return bisect.bisect_right(self._line_ends, self._at) + 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._match(pattern)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found[0] if found else ""
