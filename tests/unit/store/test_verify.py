"""What is found wrong in a store, whatever somebody put there."""

from __future__ import annotations

import hashlib
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


@pytest.mark.parametrize(
    "content", ["[]\n", "[" * 100_000, "7\n", '["", "directory", "x", 0, 0, 0, 0, "", "", []]\n', None]
)
def test_a_manifest_that_is_none_is_told(kept: Kept, content: str | None) -> None:
    path = kept.folder / "manifest"
    path.unlink()
    if content is None:
        os.mkfifo(path)
    else:
        path.write_text(content)
    assert kept.told() == ["layer /manifest: cannot be read"]


def test_an_owner_that_is_none_is_told(kept: Kept) -> None:
    os.setxattr(kept.file, "user.envbox.owner", b"junk")
    assert kept.told() == ["layer /file: attributes"]


def test_a_pipe_in_place_of_a_file_or_an_artifact_is_told(kept: Kept) -> None:
    kept.file.unlink()
    os.mkfifo(kept.file)
    os.mkfifo(kept.store.path("blobs", "sha256", "0" * 64))
    os.mkfifo(kept.store.path("blobs", "sha256", hashlib.sha256().hexdigest()))
    assert kept.told() == ["artifact content", "artifact content", "layer /file: a fifo, not a file"]


def test_a_name_that_stands_for_a_whiteout_is_told(kept: Kept) -> None:
    kept.file.rename(kept.file.with_name(".wh.file"))
    entries = [entry._replace(path=entry.path.replace("file", ".wh.file")) for entry in manifest.read(str(kept.folder))]
    manifest.write(str(kept.folder), entries)
    assert "layer /.wh.file: a name that no layer can have" in kept.told()
