"""Progress: bars on a terminal, plain lines elsewhere. Written to standard error, which is not the command's output."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbox.report import Reporter


@contextlib.contextmanager
def reporter() -> Iterator[Reporter]:
    """What fits standard error."""
    if sys.stderr.isatty():
        bars = Bars()
        with bars.progress:
            yield bars
    else:
        yield Lines()


class Lines:
    """A line when work begins that takes long, and when it is done."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[str, float]] = {}

    def start(self, key: str, title: str, total: int | None = None) -> None:
        self._began[key] = (title, time.monotonic())
        size = f" ({total / 1e6:.1f} MB)" if total and key == "download" else ""
        self._say(f"{title}{size} ...")

    def advance(self, key: str, amount: int) -> None: ...

    def detail(self, key: str, text: str) -> None: ...

    def finish(self, key: str, title: str = "") -> None:
        began = self._began.pop(key, None)
        if began and (title or time.monotonic() - began[1] > 1):
            self._say(f"{title or began[0]}: {time.monotonic() - began[1]:.1f} s")

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        print(f"envbox: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the front end


class Bars:
    """One line for each piece of work that goes on."""

    def __init__(self) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("[dim]{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def start(self, key: str, title: str, total: int | None = None) -> None:
        with self._lock:
            self._tasks[key] = self.progress.add_task(title, total=total, detail="")

    def advance(self, key: str, amount: int) -> None:
        if key in self._tasks:
            self.progress.advance(self._tasks[key], amount)

    def detail(self, key: str, text: str) -> None:
        if key in self._tasks:
            self.progress.update(self._tasks[key], detail=text[:50])

    def finish(self, key: str, title: str = "") -> None:
        with self._lock:
            task = self._tasks.pop(key, None)
        if task is not None:
            elapsed = self.progress.tasks[self.progress.task_ids.index(task)].elapsed or 0.0
            self.progress.remove_task(task)
            if title:
                self.progress.console.print(f"[green]✓[/] {title} [dim]{elapsed:.1f} s")

    def note(self, text: str) -> None:
        self.progress.console.print(text, markup=False)
