"""Layers by digest, and which inputs gave which digest."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from envbox.store import manifest
from envbox.store.work import is_whole, publish, write_file
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbox.store.manifest import Entry
    from envbox.store.store import Store


@lru_cache(8)  # each step of a build looks at the layers below
def _entries(folder: str) -> tuple[Entry, ...]:
    return tuple(manifest.read(folder))


class Layers:
    """The store's layers. One that `has` finds is complete; nothing ever changes it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def folder(self, digest: Digest) -> str:
        """Where the layer's tree and manifest are."""
        return self._store.path("layers-v1", digest.hex)

    def tree(self, digest: Digest) -> str:
        """The layer's root folder."""
        return os.path.join(self.folder(digest), "tree")

    def has(self, digest: Digest) -> bool:
        """True if the layer is here, whole."""
        return is_whole(self.folder(digest))

    def entries(self, digest: Digest) -> tuple[Entry, ...]:
        """The layer's manifest."""
        return _entries(self.folder(digest))

    def named(self, prefix: str) -> list[Digest]:
        """The layers here whose digests begin with these digits."""
        names = sorted(os.listdir(self._store.path("layers-v1"))) if os.path.isdir(self._store.root) else []
        return [digest for digest in (Digest(name) for name in names if name.startswith(prefix)) if self.has(digest)]

    def made_from(self, key: str) -> Digest | None:
        """The digest of the layer that was made from the inputs `key` stands for, if it is here."""
        try:
            with open(self._store.path("keys-v1", key), encoding="ascii") as file:
                digest = Digest.parse(file.read().strip())
        except (OSError, ValueError):
            return None
        return digest if self.has(digest) else None

    def put(self, folder: str, entries: Iterable[Entry]) -> Digest:
        """Keep the work folder with a finished tree/ as a layer. Idempotent; the work folder is gone afterwards."""
        complete, digest = manifest.measure(os.path.join(folder, "tree"), entries)
        manifest.write(folder, complete)
        publish(folder, self.folder(digest))
        return digest

    def keep(self, folder: str, entries: Iterable[Entry], promised: Digest) -> bool:
        """As `put`, but only if it is the layer `promised`; False: it is not, and nothing was kept."""
        complete, digest = manifest.measure(os.path.join(folder, "tree"), entries)
        if digest != promised:
            return False
        manifest.write(folder, complete)
        publish(folder, self.folder(digest))
        return True

    def remember(self, key: str, digest: Digest) -> None:
        """`key` gives `digest`, from now on."""
        write_file(self._store.path("keys-v1", key), f"{digest}\n".encode())
