"""The command line."""

from __future__ import annotations

NOTHING_TO_DO = "Nothing to do: all layers are here."
"""What `build` says; also by the warm path, which imports nothing else of the command line."""


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"
