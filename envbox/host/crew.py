"""A few threads that work off a list until it is empty, something fails, or the person interrupts."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Item = TypeVar("Item")

_GRACE = 1.0  # seconds that a cancelled worker has to come back before it is left behind


class Cancelled(Exception):
    """The work is not wanted any more."""


class Cancellation:
    """Tells threads to stop, and wakes those that wait."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()

    def cancel(self) -> None:
        """From now on `check` raises; every `waking` callable is called."""
        self._event.set()
        with self._lock:
            for wake in self._wakers:
                wake()

    def check(self) -> None:
        """Raises Cancelled once it is."""
        if self._event.is_set():
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Raises Cancelled as soon as it is."""
        self._event.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """While inside, `wake` is called on cancellation. It must not raise."""
        with self._lock:
            self._wakers.add(wake)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._wakers.discard(wake)


class Crew(Generic[Item]):
    """Does `work` to each item, then `done`, in several threads; the first failure stops all and is raised.

    The threads are daemons, for one stuck in a name look-up must not keep a cancelled command from ending.
    One inside `done` is always waited for, since it writes where the caller may clean up next.
    """

    def __init__(
        self,
        items: Sequence[Item],
        work: Callable[[Item, Cancellation], None],
        done: Callable[[Item], None],
    ) -> None:
        self._work = work
        self._done = done
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        for item in items:
            self._queue.put(item)
        self._cancellation = Cancellation()
        self._changed = threading.Condition()
        self._alive = 0
        self._finishing = 0
        self._failure: BaseException | None = None

    def run(self, count: int) -> None:
        """Blocks until all is done. Raises what `work` or `done` raised first."""
        try:
            for _ in range(count):
                thread = threading.Thread(target=self._worker, name="envbox-worker", daemon=True)
                with self._changed:
                    self._alive += 1
                thread.start()
            with self._changed:
                self._changed.wait_for(lambda: self._alive == 0 or self._failure is not None)
        finally:
            self._cancellation.cancel()
            with self._changed:
                self._changed.wait_for(lambda: self._alive == 0, timeout=_GRACE)
                self._changed.wait_for(lambda: self._finishing == 0)
        if self._failure is not None:
            raise self._failure

    def _worker(self) -> None:
        try:
            while True:
                item = self._queue.get_nowait()
                self._cancellation.check()
                self._work(item, self._cancellation)
                self._finish(item)
        except (queue.Empty, Cancelled):
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            with self._changed:
                self._failure = self._failure or error
        finally:
            with self._changed:
                self._alive -= 1
                self._changed.notify_all()

    def _finish(self, item: Item) -> None:
        with self._changed:
            self._cancellation.check()
            self._finishing += 1
        try:
            self._done(item)
        finally:
            with self._changed:
                self._finishing -= 1
                self._changed.notify_all()
