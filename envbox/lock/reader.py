from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from envbox.formats.toml_positions import Path

Value = TypeVar("Value")

_KINDS = {
    str: "a string",
    int: "an integer",
    list: "a list",
    dict: "a table",
    datetime: "a time such as 2025-08-09T09:46:57Z",
}
_WORD = re.compile(r"(?!\.+$)[^\s/\\\x00-\x1f\x7f]+")


class Fault(Exception):
    """The value at `path` is not what a lock has there."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class Table:
    """A table of a lock, read strictly: a key is missing, has another type or is left over -> Fault."""

    def __init__(self, values: dict[str, Any], path: Path = ()) -> None:
        self._values = values
        self._path = path
        self._read: set[str] = set()

    def fault(self, message: str, *path: str | int) -> Fault:
        """A fault of this table, or of what is at `path` in it."""
        return Fault((*self._path, *path), message)

    def finish(self) -> None:
        """Every key has been read."""
        for key in self._values:
            if key not in self._read:
                raise self.fault("is not a key that an envbox.lock has here", key)

    def _take(self, key: str, kind: type[Value]) -> Value:
        if key not in self._values:
            raise self.fault(f"{key} is missing")
        return self._check(self._values[key], kind, key)

    def _check(self, value: Any, kind: type[Value], *path: str | int) -> Value:
        self._read.add(str(path[0]))
        # Not isinstance: true is no integer.
        if type(value) is not kind:
            raise self.fault(f"must be {_KINDS[kind]}", *path)
        return value

    def has(self, key: str) -> bool:
        """Whether there is such a key."""
        return key in self._values

    def text(self, key: str) -> str:
        """A string."""
        return self._take(key, str)

    def optional_text(self, key: str) -> str:
        """A string that is left out where it is empty."""
        return self.text(key) if key in self._values else ""

    def word(self, key: str) -> str:
        """A string that can be a file's name and part of a message: no blanks, slashes or controls."""
        text = self.text(key)
        if not _WORD.fullmatch(text):
            raise self.fault(f"{text!r} is not a plain word", key)
        return text

    def number(self, key: str) -> int:
        """An integer that is not negative."""
        number = self._take(key, int)
        if number < 0:
            raise self.fault("must not be negative", key)
        return number

    def time(self, key: str) -> int:
        """A point in time as seconds since 1970."""
        moment = self._take(key, datetime)
        if moment.tzinfo is None:
            raise self.fault(f"must be {_KINDS[datetime]}", key)
        return int(moment.timestamp())

    def digest(self, key: str) -> Digest:
        """A digest."""
        try:
            return Digest.parse(self.text(key))
        except ValueError as error:
            raise self.fault(str(error), key) from None

    def optional_digest(self, key: str) -> Digest | None:
        """A digest that is left out where there is none yet."""
        return self.digest(key) if key in self._values else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        items = self._take(key, list)
        return tuple(self._check(item, str, key, index) for index, item in enumerate(items))

    def table(self, key: str, read: Callable[[Table], Value]) -> Value:
        """What `read` makes of the table at `key`."""
        return self._finished(read, self._take(key, dict), key)

    def tables(self, key: str, read: Callable[[Table], Value], name: Callable[[Value], str]) -> tuple[Value, ...]:
        """What `read` makes of each table of a list, which may be missing; no two have the same name."""
        items = self._take(key, list) if key in self._values else []
        found: dict[str, Value] = {}
        for index, item in enumerate(items):
            value = self._finished(read, self._check(item, dict, key, index), key, index)
            if name(value) in found:
                raise self.fault(f'"{name(value)}" stands twice in this list', key, index)
            found[name(value)] = value
        return tuple(found.values())

    def _finished(self, read: Callable[[Table], Value], values: dict[str, Any], *path: str | int) -> Value:
        table = Table(values, (*self._path, *path))
        value = read(table)
        table.finish()
        return value
