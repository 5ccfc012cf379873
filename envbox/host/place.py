"""Where a file may be, and what can be wrong with such a place."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class LocalFile:
    """A file of this host, by its absolute path. A type of its own, so that no text of a stranger becomes one."""

    path: str

    def __str__(self) -> str:
        return self.path


Place = str | LocalFile
"""A URL, or a file of this host."""


class Again(Exception):
    """Worth another attempt at the same place; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, *, wait: float = 0.0, lookup: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.lookup = lookup


class Elsewhere(Exception):
    """No use asking this place again; `gone` if all that is wrong is that it has no such file."""

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


def shown(place: Place) -> str:
    """A place as messages name it: without user and password."""
    if isinstance(place, LocalFile):
        return place.path
    scheme, separator, rest = place.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def host_of(place: Place) -> str:
    """Whom to ask: a host with its port; empty for this one."""
    try:
        return "" if isinstance(place, LocalFile) else urlsplit(place).netloc.rpartition("@")[2]
    except ValueError:
        return ""
