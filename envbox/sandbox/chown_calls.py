"""The calls that change an owner, reduced to fchownat's terms."""

from __future__ import annotations

import errno

from envbox.sandbox.callers import EMPTY_PATH, FROM_HERE, NOFOLLOW, FileArgument


class ChownCall(FileArgument):
    """One of the four calls. Raises OSError for flags that the kernel would refuse."""

    __slots__ = ("gid", "uid")

    def __init__(self, name: str, process: int, arguments: tuple[int, ...]) -> None:
        first, second, third, fourth, fifth = arguments[:5]
        self.uid, self.gid = _identity(second), _identity(third)
        if name == "fchownat":
            super().__init__(process, first, second, fifth)
            self.uid, self.gid = _identity(third), _identity(fourth)
        elif name == "fchown":
            super().__init__(process, first, 0, EMPTY_PATH)
        else:
            super().__init__(process, FROM_HERE, first, NOFOLLOW if name == "lchown" else 0)
        if self.flags & ~(NOFOLLOW | EMPTY_PATH):
            raise OSError(errno.EINVAL, "flags")


def _identity(value: int) -> int:
    """An id, or -1 for the one that means to keep the old."""
    low = value & 0xFFFFFFFF
    return -1 if low == 0xFFFFFFFF else low
