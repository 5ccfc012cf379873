"""Artifacts as downloaded, by digest."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from envbox.errors import ArtifactMismatch
from envbox.store.work import work_folder, write_file
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbox.store.store import Store

_BLOCK = 1 << 20


class Blobs:
    """The store's artifacts. A file at `path(digest)` is complete and was verified when it was put there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def path(self, digest: Digest) -> str:
        """Where the blob is, or would be."""
        return self._store.path("blobs", "sha256", digest.hex)

    def has(self, digest: Digest) -> bool:
        """True if the blob is here."""
        return os.path.exists(self.path(digest))

    def partial(self, digest: Digest) -> str:
        """Where a download of the blob is gathered, so that a later one can go on from there."""
        return self.path(digest) + ".part"

    def commit(self, digest: Digest) -> str:
        """The verified file at `partial(digest)` becomes the blob. Idempotent. Returns its path."""
        target = self.path(digest)
        try:
            os.replace(self.partial(digest), target)
        except FileNotFoundError:  # another envbox downloaded it too, and was faster
            if not os.path.exists(target):
                raise
        return target

    def put(self, data: bytes) -> Digest:
        """Keep what did not come by a download. Idempotent."""
        digest = Digest.of(data)
        if not self.has(digest):
            write_file(self.path(digest), data)
        return digest

    def put_parts(self, parts: Iterable[bytes]) -> tuple[Digest, int]:
        """Keep the bytes of all parts together as a blob; returns its digest and its size."""
        whole, size = hashlib.sha256(), 0
        with work_folder(self._store, "blob") as work:
            path = os.path.join(work, "blob")
            with open(path, "xb") as file:
                for part in parts:
                    whole.update(part)
                    size += file.write(part)
            digest = Digest(whole.hexdigest())
            os.replace(path, self.path(digest))
        return digest, size

    def check(self, digest: Digest, name: str) -> None:
        """As `read`, for those who want the file itself."""
        whole = hashlib.sha256()
        with open(self.path(digest), "rb") as file:
            while block := file.read(_BLOCK):
                whole.update(block)
        self._hold(digest, whole.hexdigest(), name)

    def read(self, digest: Digest, name: str) -> bytes:
        """The blob's bytes, checked again: a disk that rots must not reach a layer. Raises ArtifactMismatch."""
        with open(self.path(digest), "rb") as file:
            data = file.read()
        self._hold(digest, hashlib.sha256(data).hexdigest(), name)
        return data

    def _hold(self, digest: Digest, found: str, name: str) -> None:
        if found == digest.hex:
            return
        path = self.path(digest)
        os.unlink(path)
        raise ArtifactMismatch(
            f"{name}: the copy in the store is damaged and was removed: {path}",
            hint="run the same command again, which takes it anew from where it came",
        )
