"""The command line."""

from __future__ import annotations

NOTHING_TO_DO = "Nothing to do: all layers are here."
"""What `build` says; also by the warm path, which imports nothing else of the command line."""
