from __future__ import annotations

import difflib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from envbox.formats import toml
from envbox.formats.toml_positions import positions
from envbox.values import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from envbox.formats.toml_positions import Path

_KINDS = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "a table",
}
_NOT_YET = "is not supported by this version of envbox"


def shown(value: str) -> str:
    """A string as a message quotes it: on one line, and not too long."""
    return toml.scalar(value if len(value) <= 80 else value[:77] + "...")


def nearest(word: str, known: Iterable[str]) -> str:
    """The continuation of a message that suggests the known spelling closest to `word`, if any is close."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1)
    return f"; did you mean {shown(by_folded[close[0]])}?" if close else ""


class Problems:
    """Gathers what is wrong in one TOML file, by the path of the key; `found` may hold other files' too."""

    def __init__(self, file: str, text: str, found: list[Problem]) -> None:
        self.file = file
        self.found = found
        self._text = text

    @cached_property
    def _positions(self) -> dict[Path, int]:
        return positions(self._text)

    def line(self, path: Path) -> int:
        """The line of `path`, or of the innermost table around it that has one; 0: none has."""
        while path and path not in self._positions:
            path = path[:-1]
        return self._positions.get(path, 0)

    def add(self, path: Path, message: str) -> None:
        """Note that what is at `path`, or is missing there, is wrong."""
        # The line tells which item of a list it is.
        key = ".".join(part if _is_bare(part) else shown(part) for part in path if isinstance(part, str))
        self.found.append(Problem(self.file, self.line(path), key, message))


def _is_bare(key: str) -> bool:
    return bool(key) and key.isascii() and key.replace("-", "_").replace("_", "a").isalnum()


class Section:
    """A table of the spec. A value of another type is noted as a problem and read as if it were missing."""

    def __init__(self, values: dict[str, Any], path: Path, problems: Problems) -> None:
        self.values = values
        self.path = path
        self.problems = problems

    def wrong(self, message: str, *path: str | int) -> None:
        """Note a problem of this table, or of what is at `path` in it."""
        self.problems.add((*self.path, *path), message)

    def expect(self, keys: Mapping[tuple[str, ...], tuple[str, ...]], later: Iterable[str]) -> None:
        """Note every key that is not one of those that `keys` has for this table."""
        own = tuple(part for part in self.path if isinstance(part, str))
        for key in self.values:
            if key in later:
                self.wrong(_NOT_YET, key)
            elif key not in keys[own]:
                self.wrong(f"there is no such key{_instead(key, own, keys)}", key)

    def value(self, key: str, *kinds: type, example: str = "") -> Any:
        """The value at `key`, None where there is none or it is of no such kind."""
        return self.checked(self.values[key], kinds, key, example=example) if key in self.values else None

    def checked(self, value: Any, kinds: tuple[type, ...], *path: str | int, example: str = "") -> Any:
        """The value that stands at `path`, None where it is of no such kind."""
        if type(value) in kinds:
            return value
        wanted = " or ".join(_KINDS[kind] for kind in kinds) + (f" such as {example}" if example else "")
        self.wrong(f"must be {wanted}, not {_KINDS.get(type(value), 'a date or time')}", *path)
        return None

    def text(self, key: str, *, example: str = "") -> str:
        """The string at `key`, empty where there is none; one that is written must not be empty."""
        text = self.value(key, str, example=example)
        if text == "":
            self.wrong("must not be empty", key)
        return text or ""

    def table(self, key: str) -> Section:
        """The table at `key`, empty where there is none."""
        return Section(self.value(key, dict) or {}, (*self.path, key), self.problems)

    def items(self, key: str, kind: type, *, example: str) -> Iterator[tuple[int, Any]]:
        """Those items of the list at `key` that are of that kind, with their index."""
        for index, item in enumerate(self.value(key, list, example=example) or []):
            if self.checked(item, (kind,), key, index) is not None:
                yield index, item


def _instead(key: str, own: tuple[str, ...], keys: Mapping[tuple[str, ...], tuple[str, ...]]) -> str:
    """Where an unknown key could belong, or what there is instead of it."""
    near = nearest(key, keys[own])
    homes = [table for table, names in keys.items() if key in names and table != own]
    if near or not homes:
        return near or f"; there are {', '.join(keys[own])}"
    home = ".".join(homes[0])
    return f"; {key} belongs in {f'[{home}]' if home else 'the lines above the first [table]'}"
