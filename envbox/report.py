"""How long work tells whoever watches. Core calls a Reporter and never prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Reporter(Protocol):
    """Receives progress. Calls may come from several threads; none may raise."""

    def start(self, key: str, title: str, total: int | None = None) -> None:
        """A piece of work begins. `key` identifies it; `total` is in bytes or items, None if unknown."""

    def advance(self, key: str, amount: int) -> None:
        """`amount` more of the work is done."""

    def detail(self, key: str, text: str) -> None:
        """What is being worked on right now, for a status line."""

    def finish(self, key: str, title: str = "") -> None:
        """The work is done; `title` replaces the one shown, if not empty."""

    def note(self, text: str) -> None:
        """One sentence worth keeping on the screen."""


class Silent:
    """Tells nobody."""

    def start(self, key: str, title: str, total: int | None = None) -> None: ...
    def advance(self, key: str, amount: int) -> None: ...
    def detail(self, key: str, text: str) -> None: ...
    def finish(self, key: str, title: str = "") -> None: ...
    def note(self, text: str) -> None: ...


@dataclass
class Recording:
    """Keeps all that was told, in order, as tuples whose first item is the method's name."""

    events: list[tuple[object, ...]] = field(default_factory=list)

    def start(self, key: str, title: str, total: int | None = None) -> None:
        self.events.append(("start", key, title, total))

    def advance(self, key: str, amount: int) -> None:
        self.events.append(("advance", key, amount))

    def detail(self, key: str, text: str) -> None:
        self.events.append(("detail", key, text))

    def finish(self, key: str, title: str = "") -> None:
        self.events.append(("finish", key, title))

    def note(self, text: str) -> None:
        self.events.append(("note", text))
