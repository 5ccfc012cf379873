"""What is found wrong in a store, whatever somebody put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envbox.report import Silent
from envbox.store import manifest
from envbox.store.layers import Layers
from envbox.store.store import Store
from envbox.store.verify import everything, verify


class Kept:
    """A store with one layer."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder)).prepare()
        tree = folder / "tmp/layer/tree"
        tree.mkdir(parents=True)
        (tree / "file").write_bytes(b"content")
        digest = Layers(self.store).put(str(tree.parent), list(manifest.scan(str(tree), {})))
        self.folder = Path(Layers(self.store).folder(digest))
        self.file = self.folder / "tree/file"

    def told(self) -> list[str]:
        damages = verify(self.store, everything(self.store), Silent()).damages
        return [f"{damage.kind} {difference}" for damage in damages for difference in damage.differences]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "store")


def test_nothing_is_wrong_with_what_was_put_there(kept: Kept) -> None:
    assert kept.told() == []


def test_a_file_of_another_size_is_told_once(kept: Kept) -> None:
    time = kept.file.stat().st_mtime
    kept.file.write_bytes(b"contents")
    os.utime(kept.file, (time, time))
    assert kept.told() == ["layer /file: content"]


def test_a_name_that_stands_for_a_whiteout_is_told(kept: Kept) -> None:
    kept.file.rename(kept.file.with_name(".wh.file"))
    entries = [entry._replace(path=entry.path.replace("file", ".wh.file")) for entry in manifest.read(str(kept.folder))]
    manifest.write(str(kept.folder), entries)
    assert "layer /.wh.file: a name that no layer can have" in kept.told()
