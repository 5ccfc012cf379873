"""The command line."""

from __future__ import annotations

NOTHING_TO_DO = "Nothing to do: all layers are here."
"""What `build` says; also by the warm path, which imports nothing else of the command line."""


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"


def sized(number: int) -> str:
    """A number of bytes, as disks are sold."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"
