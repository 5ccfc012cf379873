"""Layers of a store that somebody else may write to."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from envbox.formats import tar
from envbox.store import manifest
from envbox.store.layers import Layers
from envbox.store.manifest import Entry
from envbox.store.other_store import Refused, adopt
from envbox.store.removal import remove_tree
from envbox.store.store import Store
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIME = 1_700_000_000


def kept(store: Store, make: Callable[[Path], object]) -> Path:
    """The folder of a layer that `make` fills the tree of."""
    tree = Path(store.path("tmp", "made", "tree"))
    tree.mkdir(parents=True)
    make(tree)
    digest = Layers(store).put(str(tree.parent), list(manifest.scan(str(tree), {})))
    return Path(Layers(store).folder(digest))


class Shop:
    """A store with one layer of every kind of entry, and an empty one beside it."""

    def __init__(self, folder: Path) -> None:
        self.other = Store(str(folder / "other")).prepare()
        self.own = Store(str(folder / "own")).prepare()
        self.work = folder / "own/tmp/work"
        tree = folder / "other/tmp/layer/tree"
        self._fill(tree)
        entries = list(manifest.scan(str(tree), {"usr/link": (7, 8)}))
        self.digest = Layers(self.other).put(str(tree.parent), entries)
        self.folder = folder / "other/layers-v1" / self.digest.hex
        self.tree = self.folder / "tree"

    def _fill(self, tree: Path) -> None:
        (tree / "usr/bin").mkdir(parents=True)
        (tree / "usr/closed").mkdir()
        (tree / "usr/bin/tool").write_bytes(b"#!/bin/sh\n" * 200_000)
        (tree / "usr/bin/tool").chmod(0o4755)
        (tree / "usr/bin/owned").write_bytes(b"owned\n")
        (tree / "usr/bin/name\udce9").write_bytes(b"")
        os.setxattr(tree / "usr/bin/owned", "user.envbox.owner", b"12:34")
        os.setxattr(tree / "usr/closed", "user.overlay.opaque", b"y")
        os.link(tree / "usr/bin/tool", tree / "usr/bin/zz-same")
        os.symlink("bin/tool", tree / "usr/link")
        os.mkfifo(tree / "usr/pipe")
        os.mknod(tree / "usr/gone", 0o020000, 0)
        for folder, folders, files in os.walk(tree, topdown=False):
            for name in (*folders, *files):
                os.utime(os.path.join(folder, name), (TIME, TIME), follow_symlinks=False)
        os.utime(tree, (TIME, TIME))

    def adopt(self) -> bool:
        return adopt(self.other.root, self.digest, Layers(self.own), str(self.work))

    def refused(self) -> tuple[str, ...]:
        with pytest.raises(Refused) as caught:
            self.adopt()
        assert not Layers(self.own).has(self.digest)
        assert os.listdir(self.own.path("layers-v1")) == []
        return caught.value.lines

    def change_manifest(self, change: Callable[[list[Any]], object]) -> None:
        rows = [json.loads(line) for line in (self.folder / "manifest").read_text().splitlines()]
        change(rows)
        (self.folder / "manifest").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    remove_tree(str(tmp_path / "own"))


def test_a_layer_is_copied_with_all_that_it_has(shop: Shop) -> None:
    assert shop.adopt()
    layers = Layers(shop.own)
    assert layers.has(shop.digest)
    tree = layers.tree(shop.digest)
    own, other = (
        [entry._replace(digest="") for entry in manifest.in_order(manifest.scan(str(place), {}))]
        for place in (tree, shop.tree)
    )
    assert own == other
    assert os.getxattr(f"{tree}/usr/bin/owned", "user.envbox.owner") == b"12:34"
    assert os.path.samefile(f"{tree}/usr/bin/tool", f"{tree}/usr/bin/zz-same")
    inodes = {os.lstat(os.path.join(shop.tree, entry.path)).st_ino for entry in other}
    assert not inodes & {os.lstat(os.path.join(tree, entry.path)).st_ino for entry in own}
    assert manifest.measure(tree, layers.entries(shop.digest))[1] == shop.digest


def test_a_layer_that_is_not_there_is_no_matter(shop: Shop) -> None:
    shutil.rmtree(shop.folder)
    assert not shop.adopt()
    assert not adopt("/nowhere", Digest("0" * 64), Layers(shop.own), str(shop.work))


def test_one_byte_that_is_another_is_refused_and_named(shop: Shop) -> None:
    path = shop.tree / "usr/bin/tool"
    data = path.read_bytes()
    path.write_bytes(data[:1000] + b"?" + data[1001:])
    (line,) = shop.refused()
    assert line.startswith("/usr/bin/tool: ")
    assert "content" in line


def replaced(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes() + b"!"),
        lambda path: os.truncate(path, 5),
        lambda path: os.truncate(path, 1 << 40),
        replaced(lambda path: path.symlink_to("/etc/hostname")),
        replaced(os.mkfifo),
        replaced(os.mkdir),
        replaced(lambda path: os.symlink("/dev/zero", path)),
    ],
    ids=["missing", "longer", "shorter", "endless", "link", "pipe", "folder", "device"],
)
def test_a_file_that_is_another_is_refused_and_named(shop: Shop, change: Callable[[Path], object]) -> None:
    change(shop.tree / "usr/bin/owned")
    assert [line.partition(":")[0] for line in shop.refused()] == ["/usr/bin/owned"]


def test_a_folder_that_is_a_link_elsewhere_gives_no_other_layer(shop: Shop, tmp_path: Path) -> None:
    shutil.copytree(shop.tree / "usr/bin", tmp_path / "bin", symlinks=True)
    (tmp_path / "bin/owned").write_bytes(b"0wned\n")
    shutil.rmtree(shop.tree / "usr/bin")
    (shop.tree / "usr/bin").symlink_to(tmp_path / "bin")
    assert [line.partition(":")[0] for line in shop.refused()] == ["/usr/bin/owned"]


def test_files_and_manifest_that_were_both_changed_are_refused(shop: Shop) -> None:
    (shop.tree / "usr/bin/owned").write_bytes(b"0wned\n")

    def change(rows: list[Any]) -> None:
        next(row for row in rows if row[0] == "usr/bin/owned")[7] = hashlib.sha256(b"0wned\n").hexdigest()

    shop.change_manifest(change)
    assert shop.refused() == ("its files agree with its own manifest, which is not the promised one",)


def set_field(path: str, field: int, value: object) -> Callable[[list[Any]], object]:
    def change(rows: list[Any]) -> None:
        next(row for row in rows if row[0] == path)[field] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_field("usr/bin/owned", 0, "../../../escaped"),
        set_field("usr/bin/owned", 0, "/escaped"),
        set_field("usr/bin/owned", 0, "usr/link/escaped"),
        set_field("usr/bin/owned", 0, "usr/bin/tool"),
        set_field("usr/bin/owned", 0, "usr//bin/owned"),
        set_field("usr/bin/owned", 0, "usr/bin/a\0b"),
        set_field("usr/bin/owned", 0, "usr/bin/" + "n" * 300),
        set_field("usr/bin/owned", 1, "device"),
        set_field("usr/bin/owned", 2, 0o104755),
        set_field("usr/bin/owned", 3, "0"),
        set_field("usr/bin/owned", 5, 1 << 70),
        set_field("usr/bin/owned", 6, -1),
        set_field("usr/bin/owned", 7, None),
        set_field("usr/bin/owned", 9, [["user.overlay.redirect", "2f"]]),
        set_field("usr/bin/zz-same", 8, "../../../../etc/passwd"),
        set_field("", 1, "file"),
        lambda rows: rows.pop(0),
        lambda rows: rows.append({"path": "usr/x"}),
        lambda rows: rows.append(["usr/x", "file"]),
        lambda rows: rows.append(7),
        lambda rows: rows.clear(),
    ],
)
def test_a_manifest_that_lies_is_refused(shop: Shop, change: Callable[[list[Any]], object], tmp_path: Path) -> None:
    shop.change_manifest(change)
    shop.refused()
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"null\n"])
def test_a_manifest_that_is_none_is_refused(shop: Shop, content: bytes) -> None:
    (shop.folder / "manifest").write_bytes(content)
    assert "its manifest cannot be used" in shop.refused()[0]


def test_a_manifest_that_is_a_pipe_is_refused(shop: Shop) -> None:
    (shop.folder / "manifest").unlink()
    os.mkfifo(shop.folder / "manifest")
    assert shop.refused() == ("its manifest cannot be used: it is no regular file",)


def forged(shop: Shop, folder: Path, change: Callable[[list[Entry], Path], list[Entry]]) -> None:
    """The layer with another manifest and other files that give the same tar; that must not be taken for it."""
    entries = change(manifest.read(str(folder)), folder / "tree")
    manifest.write(str(folder), entries)
    shop.digest = Digest(folder.name)
    shop.refused()


def test_a_file_that_holds_an_archive_is_not_taken_apart_into_other_files(shop: Shop) -> None:
    inner = Entry("b", "file", 0o4755, 0, 0, 0, 512, hashlib.sha256(b"y" * 512).hexdigest())
    outer = b"x" * 512 + tar.pack(manifest._member(inner), 512) + b"y" * 512

    def change(entries: list[Entry], tree: Path) -> list[Entry]:
        (tree / "a").write_bytes(b"x" * 512)
        (tree / "b").write_bytes(b"y" * 512)
        root, file = entries
        return [root, file._replace(digest=hashlib.sha256(b"x" * 512).hexdigest()), inner]

    forged(shop, kept(shop.other, lambda tree: (tree / "a").write_bytes(outer)), change)


def test_a_whiteout_is_not_taken_for_a_file(shop: Shop) -> None:
    def change(entries: list[Entry], tree: Path) -> list[Entry]:
        (tree / ".wh.secret").write_bytes(b"")
        root, hidden = entries
        return [root, hidden._replace(path=".wh.secret", kind="file", digest=hashlib.sha256().hexdigest())]

    forged(shop, kept(shop.other, lambda tree: os.mknod(tree / "secret", 0o020000, 0)), change)


def test_an_opaque_folder_is_not_taken_for_one_with_a_file(shop: Shop) -> None:
    def make(tree: Path) -> None:
        (tree / "d").mkdir()
        os.setxattr(tree / "d", "user.overlay.opaque", b"y")

    def change(entries: list[Entry], tree: Path) -> list[Entry]:
        (tree / "d/.wh..wh..opq").write_bytes(b"")
        marker = Entry("d/.wh..wh..opq", "file", 0o644, 0, 0, 0, 0, hashlib.sha256().hexdigest())
        return [entries[0], entries[1]._replace(kind="directory"), marker]

    forged(shop, kept(shop.other, make), change)
