"""The store: artifacts, package trees, layers and environments, shared by every project of a user.

blobs/sha256/       artifacts as downloaded, verified
packages-v1/        one unpacked tree per package artifact, with its manifest
layers-v1/          tree/ and manifest, by digest
lists-v1/           package lists of archives as apt reads them, by what they are
keys-v1/            what went into a layer -> its digest
environments-v1/    everything needed to enter, one folder per spec and lock
roots/              who uses what: projects and pins
homes/              HOME of the person inside, one per project
logs/               of failed builds
tmp/                work folders, locked while in use
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from envbox.errors import StoreFailed
from envbox.store.location import default_root

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS = (
    "blobs/sha256",
    "packages-v1",
    "layers-v1",
    "lists-v1",
    "keys-v1",
    "environments-v1",
    "roots",
    "homes",
    "logs",
    "tmp",
    "locks",
)


_PROBE = ".envbox-probe-"  # for a moment, where a file system knows no files without a name
_NAMES = frozenset(folder.partition("/")[0] for folder in FOLDERS)


@contextlib.contextmanager
def explaining(root: str) -> Iterator[None]:
    """Turn a full disk, a read-only or foreign store into StoreFailed with what to do; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StoreFailed(
                f"no space left for the store {root}",
                hint="free some space, or set ENVBOX_STORE to a folder on another disk; what is done so far is kept",
            ) from error
        if error.errno == errno.EROFS or (error.errno in {errno.EACCES, errno.EPERM} and _inside(error, root)):
            raise StoreFailed(
                f"the store {root} cannot be written: {error.strerror} ({error.filename})",
                hint="set ENVBOX_STORE to a folder of your own",
            ) from error
        raise


def _inside(error: OSError, root: str) -> bool:
    return str(error.filename or "").startswith(root)


class Store:
    """Paths in one store folder. Making it creates the folders, readable by their owner alone."""

    def __init__(self, root: str | None = None) -> None:
        self.root = os.path.abspath(root) if root else default_root()

    def prepare(self) -> Store:
        """Create what is missing. Raises StoreFailed."""
        with explaining(self.root):
            os.makedirs(self.root, mode=0o700, exist_ok=True)
            self._check_is_ours()
            for folder in FOLDERS:
                os.makedirs(os.path.join(self.root, folder), mode=0o700, exist_ok=True)
            # Setuid files of a layer keep their bits; nobody else may reach them.
            os.chmod(self.root, 0o700)
        return self

    def _check_is_ours(self) -> None:
        """A folder that others use must not have its permissions changed."""
        shared = os.stat(self.root).st_mode & stat.S_IWOTH
        others = {name for name in os.listdir(self.root) if not name.startswith(_PROBE)} - _NAMES
        if shared or others:
            raise StoreFailed(
                f"{self.root} {'is writable by everybody' if shared else 'holds other things'}: it cannot be a store",
                hint="set ENVBOX_STORE to a folder of your own that is empty or not there yet",
            )

    def path(self, *parts: str) -> str:
        """A path below the store's root."""
        return os.path.join(self.root, *parts)
