"""Files of this host that others may write: read without waiting for anybody, and never more than was promised."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from envbox.host.place import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envbox.host.partial import Partial
    from envbox.host.place import LocalFile

_CHUNK = 1 << 20


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor of the regular file at `path`, to be read. Raises Elsewhere for links, pipes and devices too."""
    # O_NONBLOCK: to open a pipe would wait for whoever writes it.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise Elsewhere("it is no regular file")
        descriptor = os.open(path, flags)
    except OSError as error:
        gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
        raise Elsewhere("it is not there" if gone else f"it cannot be read: {error.strerror}", gone=gone) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Elsewhere("it is no regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def read(place: LocalFile, limit: int) -> bytes:
    """A whole small file. Raises Elsewhere."""
    with opened(place.path) as descriptor:
        data = b"".join(blocks(descriptor, limit + 1))
    if len(data) > limit:
        raise Elsewhere(f"it is larger than the {limit} bytes that such a document may have")
    return data


def copy(place: LocalFile, partial: Partial, check: Callable[[], None]) -> None:
    """Go on with `partial` from the file. `check` may stop it. Raises WrongBytes, Elsewhere."""
    with opened(place.path) as descriptor:
        size = os.fstat(descriptor).st_size
        partial.expect(size)
        os.lseek(descriptor, partial.offset, os.SEEK_SET)
        for block in blocks(descriptor, size - partial.offset):
            check()
            partial.write(block)
    partial.verify(framed=True)


def blocks(descriptor: int, size: int) -> Iterator[bytes]:
    """At most `size` bytes from where the descriptor stands. Raises Elsewhere."""
    while size > 0:
        try:
            block = os.read(descriptor, min(size, _CHUNK))
        except OSError as error:
            raise Elsewhere(f"it cannot be read: {error.strerror}") from error
        if not block:
            return
        size -= len(block)
        yield block
