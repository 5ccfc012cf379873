"""Artifacts in the store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from envbox.errors import ArtifactMismatch
from envbox.store.blobs import Blobs
from envbox.store.store import Store
from envbox.store.work import is_locked
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_what_is_gathered_is_locked_against_a_sweep_and_leaves_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).prepare()
    locked = []

    def parts() -> Iterator[bytes]:
        yield b"one"
        locked.extend(is_locked(entry.path) for entry in os.scandir(store.path("tmp")))
        yield b"two"

    assert Blobs(store).put_parts(parts()) == (Digest.of(b"onetwo"), 6)
    assert locked == [True]
    assert Blobs(store).read(Digest.of(b"onetwo"), "it") == b"onetwo"
    assert os.listdir(store.path("tmp")) == []


def test_what_is_damaged_is_removed_with_words_that_fit_what_was_never_downloaded(tmp_path: Path) -> None:
    blobs = Blobs(Store(str(tmp_path / "store")).prepare())
    digest = blobs.put(b"data")
    with open(blobs.path(digest), "wb") as file:
        file.write(b"date")
    with pytest.raises(ArtifactMismatch) as caught:
        blobs.check(digest, "it")
    assert "download" not in caught.value.hint
    assert not blobs.has(digest)
