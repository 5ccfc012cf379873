"""What the disk holds really: blocks, and files that have several names once."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 512  # stat(2): the unit of st_blocks


def statuses(path: str) -> Iterator[os.stat_result]:
    """Of `path` and all below that can be looked at; what vanishes meanwhile is passed over."""
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        yield status
        if stat.S_ISDIR(status.st_mode):
            yield from _below(path)


def _below(folder: str) -> Iterator[os.stat_result]:
    pending = [folder]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as found:
            for entry in found:
                with contextlib.suppress(OSError):
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)


class Ledger:
    """Adds up folders. Each file counts for every owner it is booked on, and once for all of them."""

    def __init__(self) -> None:
        self.alone: dict[str, int] = {}
        """Bytes of disk that each path booked would take alone."""
        self._owners: dict[tuple[int, int], int] = {}
        self._blocks: dict[tuple[int, int], int] = {}

    def book(self, path: str, owners: int = 0) -> tuple[int, int]:
        """Book `path` on the owners, a bit each.

        Returns the bytes of disk that nothing booked before has, and those that it would take alone.
        """
        added, alone, seen = 0, 0, set()
        for status in statuses(path):
            key = (status.st_dev, status.st_ino)
            size = status.st_blocks * _BLOCK
            if key not in self._blocks:
                self._blocks[key] = size
                added += size
            if key not in seen:
                seen.add(key)
                alone += size
                self._owners[key] = self._owners.get(key, 0) | owners
        self.alone[path] = alone
        return added, alone

    def by_owners(self) -> dict[int, int]:
        """Bytes of disk by the very owners that share them."""
        sums: dict[int, int] = defaultdict(int)
        for key, owners in self._owners.items():
            sums[owners] += self._blocks[key]
        return dict(sums)


def freed(*paths: str) -> int:
    """Bytes of disk that are free once the paths are removed: those of files with no name elsewhere."""
    names: dict[tuple[int, int], int] = defaultdict(int)
    total = 0
    for path in paths:
        for status in statuses(path):
            size = status.st_blocks * _BLOCK
            if stat.S_ISDIR(status.st_mode):
                total += size
                continue
            key = (status.st_dev, status.st_ino)
            names[key] += 1
            if names[key] == status.st_nlink:
                total += size
    return total
