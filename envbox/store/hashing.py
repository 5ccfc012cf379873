"""A digest computed beside the reading of what goes into it."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

_PIECE = 1 << 20


class HashingThread:
    """A sha256 whose thread, where there is a second core, works while the caller gathers the next bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1)
        self._pieces: list[bytes] = []
        self._size = 0
        self._running: Future[None] | None = None

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown()

    def update(self, data: bytes) -> None:
        """Takes `data` in, at once or soon."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self._hand_over()

    def hexdigest(self) -> str:
        """The digest of everything so far, in hexadecimal digits."""
        self._hand_over()
        self._wait()
        return self._hash.hexdigest()

    def _hand_over(self) -> None:
        data = b"".join(self._pieces)  # one call for many small pieces, which leaves the interpreter's lock alone
        self._pieces.clear()
        self._size = 0
        self._wait()  # so that at most two pieces are in memory
        self._running = self._pool.submit(self._hash.update, data)

    def _wait(self) -> None:
        if self._running:
            self._running.result()
