"""What the downloads of one run have learnt of the hosts that they ask. Shared by threads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from envbox.host.place import host_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbox.host.crew import Cancellation
    from envbox.host.place import Place


class Hosts:
    """A host that failed after every retry is asked last; one that asked for a pause gets it from everybody."""

    def __init__(self) -> None:
        self._failing: set[str] = set()
        self._paused: dict[str, float] = {}
        self._lock = threading.Lock()

    def in_order(self, places: Sequence[Place]) -> list[Place]:
        """As they were told, but for those on hosts that fail, which come last."""
        with self._lock:
            return sorted(places, key=lambda place: host_of(place) in self._failing)

    def note(self, place: Place, *, failing: bool) -> None:
        """How it went."""
        with self._lock:
            (self._failing.add if failing else self._failing.discard)(host_of(place))

    def pause(self, place: Place, seconds: float) -> None:
        """The host wants to be left alone for so long."""
        with self._lock:
            host, until = host_of(place), time.monotonic() + seconds
            self._paused[host] = max(self._paused.get(host, 0.0), until)

    def wait(self, place: Place, cancellation: Cancellation) -> None:
        """Until the host may be asked. Raises Cancelled."""
        with self._lock:
            left = self._paused.get(host_of(place), 0.0) - time.monotonic()
        if left > 0:
            cancellation.sleep(left)
        cancellation.check()
