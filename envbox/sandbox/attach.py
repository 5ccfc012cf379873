"""Mounting by descriptor: attributes hold from the first moment, and no path is looked up twice."""

from __future__ import annotations

import errno
import os

from envbox.sandbox.syscalls import attach, clone_tree, new_filesystem, set_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbox.sandbox.targets import Target


def bind(source: int, place: Target, attributes: int) -> None:
    """Mounts what `source` is a descriptor of, with all below it, on `place`."""
    try:
        tree = clone_tree(source, recursive=True)
        set_attributes(tree, attributes, recursive=True)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        from envbox.sandbox import legacy

        legacy.bind(source, place, attributes)
        return
    attach(tree, place.descriptor)
    os.close(tree)


def mount_filesystem(kind: str, options: list[tuple[str, str]], place: Target, attributes: int) -> int:
    """Mounts a fresh file system on `place` and returns a descriptor of it."""
    try:
        tree = new_filesystem(kind, options, attributes)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        from envbox.sandbox import legacy

        return legacy.mount_filesystem(kind, options, place, attributes)
    attach(tree, place.descriptor)
    return tree
