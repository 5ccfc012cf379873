"""A download on its way to disk: written, hashed and compared with the promise as it comes. No network."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envbox.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envbox.values import Digest

_PAUSE = 0.05
_FULL_HINT = "free some space, or set ENVBOX_STORE to a folder on another disk, then run the same command again"


class WrongBytes(Exception):
    """Other bytes than promised; the text says what was found."""


class CutShort(Exception):
    """The body ended too early, and nobody had said that it would."""


@dataclass
class Partial:
    """What is there of a file that must become `size` bytes (-1: not known) with `digest`. Made by `open`."""

    path: str
    size: int
    digest: Digest
    progress: Callable[[int], None]
    descriptor: int
    offset: int = 0
    farthest: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        path: str,
        size: int,
        digest: Digest,
        progress: Callable[[int], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> Iterator[Partial]:
        """Take up what an earlier attempt left at `path`; `pause` while another process writes it."""
        descriptor = _open_alone(path, pause)
        try:
            partial = cls(path, size, digest, progress, descriptor)
            partial._take_up()
            yield partial
        finally:
            os.close(descriptor)

    def _take_up(self) -> None:
        if 0 <= self.size < os.fstat(self.descriptor).st_size:
            self.restart()
        with _storing(self.path):
            while chunk := os.read(self.descriptor, 1 << 20):
                self._count(chunk)
        if self.offset == self.size and not self.complete():
            self.restart()

    def _count(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.offset += len(chunk)
        self.farthest = max(self.farthest, self.offset)
        self.progress(len(chunk))

    def complete(self) -> bool:
        """Whether all of it is there and right."""
        return self.size in {-1, self.offset} and self.sha256.hexdigest() == self.digest.hex

    def restart(self) -> None:
        """Throw away what is there."""
        with _storing(self.path):
            os.ftruncate(self.descriptor, 0)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
        if self.offset:
            self.progress(-self.offset)
        self.offset = 0
        self.sha256 = hashlib.sha256()

    def expect(self, total: int) -> None:
        """Refuse a body that would make `total` bytes in all, before any of it is read. Raises WrongBytes."""
        if 0 <= self.size != total:
            raise WrongBytes(f"{total} bytes")

    def write(self, chunk: bytes) -> None:
        """Append. Raises WrongBytes as soon as it is more than promised."""
        if 0 <= self.size < self.offset + len(chunk):
            self.restart()
            raise WrongBytes(f"more than {self.size} bytes")
        view = memoryview(chunk)
        with _storing(self.path):
            while view:
                view = view[os.write(self.descriptor, view) :]
        self._count(chunk)

    def verify(self, *, framed: bool) -> None:
        """After the last byte. `framed`: the sender had said where that is, so too short is wrong."""
        if self.complete():
            return
        if self.offset < self.size and not framed:
            raise CutShort
        found = f"{self.offset} bytes with sha256:{self.sha256.hexdigest()}"
        self.restart()
        raise WrongBytes(found)


def _open_alone(path: str, pause: Callable[[float], None]) -> int:
    while True:
        with _storing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass  # finished, and put where it belongs
        except BlockingIOError:
            pause(_PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextlib.contextmanager
def _storing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"cannot write {path}: {error.strerror}", hint=_FULL_HINT) from error
