"""Removing trees. On the warm path: imports nothing that is slow to import."""

from __future__ import annotations

import os

_OWNER_ALL = 0o700


def remove_tree(path: str) -> None:
    """Remove a folder and all below, also where folders inside deny it to their owner. A link is only unlinked."""
    if os.path.islink(path) or not os.path.isdir(path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        return
    os.chmod(path, _OWNER_ALL)
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                remove_tree(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(path)
