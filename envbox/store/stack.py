"""Layers stacked: what they show, and what is in their files. No link of theirs is ever followed on the host."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from envbox.store.view import View, join

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from envbox.store.layers import Layers
    from envbox.store.manifest import Entry
    from envbox.values import Digest


class Stack:
    """Layers of the store, the lowest first."""

    def __init__(self, layers: Layers, digests: Sequence[Digest]) -> None:
        self._layers = layers
        self._digests = tuple(digests)

    @cached_property
    def view(self) -> View:
        """What they show."""
        return View(self._manifests)

    def read(self, path: str) -> str:
        """Text of the regular file at `path`, empty if there is none; links to folders are followed inside."""
        parent, _, name = path.rpartition("/")
        entry = self.view.get(join(self.view.canonical_folder(parent), name))
        return self.content(entry).decode("utf-8", "surrogateescape") if entry else ""

    def content(self, entry: Entry) -> bytes:
        """What is in the file that `view` shows as `entry`; nothing for anything but files."""
        if entry.kind not in {"file", "hardlink"}:
            return b""
        full = os.path.join(self._layers.tree(self._digests[self._origin[entry.path]]), entry.path)
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def below(self, folder: str) -> Iterator[Entry]:
        """All entries below a folder, parents first."""
        found = [entry for entry in self.view.entries() if entry.path.startswith(f"{folder}/")]
        yield from sorted(found, key=lambda entry: entry.path)

    @cached_property
    def _manifests(self) -> list[Sequence[Entry]]:
        return [self._layers.entries(digest) for digest in self._digests]

    @cached_property
    def _origin(self) -> dict[str, int]:
        return {entry.path: index for index, entries in enumerate(self._manifests) for entry in entries}
