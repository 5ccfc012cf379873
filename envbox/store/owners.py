"""Owners that the build sandbox wrote down beside the tree, because links cannot carry an attribute."""

from __future__ import annotations

import os

from envbox.store.manifest import parse_owner


def read_owners(path: str) -> dict[str, tuple[int, int]]:
    """Lines of `uid:gid path`, the path relative to the root; no file: nobody."""
    if not os.path.exists(path):
        return {}
    owners = {}
    with open(path, "rb") as file:
        for line in file:
            owner, _, name = line.rstrip(b"\n").partition(b" ")
            owners[os.fsdecode(name).lstrip("/")] = parse_owner(owner)
    return owners
