import os
import time

import pytest

from envbox.store import normalise as subject
from envbox.store.manifest import Entry
from envbox.store.normalise import EMPTIED, REMOVED, Times, normalise
from envbox.store.view import View

EPOCH = 1_000_000_000


def settle(tree, started=None, below=()):
    return normalise(str(tree), {}, View([below]), Times(EPOCH, time.time() if started is None else started))


def make(tree, path, content=b"x"):
    full = tree / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_bytes(content)
    return full


@pytest.mark.parametrize("pattern", REMOVED)
def test_every_row_removes_what_it_names_and_nothing_beside_it(tmp_path, pattern):
    path = pattern.replace("*", "name")
    make(tmp_path, path)
    neighbour = make(tmp_path, os.path.join(os.path.dirname(path) + "-kept", "neighbour"))
    settle(tmp_path)
    assert not (tmp_path / path).exists()
    assert neighbour.exists()


@pytest.mark.parametrize("path", EMPTIED)
def test_files_that_must_exist_say_nothing(tmp_path, path):
    make(tmp_path, path, b"0123456789abcdef\n")
    settle(tmp_path)
    assert (tmp_path / path).read_bytes() == b""


def test_the_hash_link_of_the_snakeoil_certificate_goes_with_it(tmp_path):
    make(tmp_path, "etc/ssl/certs/ssl-cert-snakeoil.pem")
    (tmp_path / "etc/ssl/certs/0123abcd.0").symlink_to("ssl-cert-snakeoil.pem")
    (tmp_path / "etc/ssl/certs/4567abcd.0").symlink_to("real.pem")
    settle(tmp_path)
    assert os.listdir(tmp_path / "etc/ssl/certs") == ["4567abcd.0"]


def test_no_time_is_after_the_epoch_and_older_ones_stay(tmp_path):
    old, new = make(tmp_path, "old"), make(tmp_path, "new")
    os.utime(old, (5, 5))
    entries = {e.path: e for e in settle(tmp_path, time.time() - 10)}
    assert entries["old"].mtime == 5
    assert entries["new"].mtime == EPOCH == int(new.stat().st_mtime)


def test_a_host_whose_clock_is_behind_gives_the_same_times(tmp_path):
    make(tmp_path, "file")
    os.utime(tmp_path / "file", (2000, 2000))
    entries = {e.path: e for e in settle(tmp_path, 1500)}
    assert entries["file"].mtime == EPOCH


def test_a_link_never_leads_the_table_out_of_the_tree(tmp_path):
    outside = make(tmp_path, "outside/dpkg.log")
    (tmp_path / "tree/var").mkdir(parents=True)
    (tmp_path / "tree/var/log").symlink_to(tmp_path / "outside")
    settle(tmp_path / "tree")
    assert outside.exists()


def test_overlay_attributes_are_gone_but_for_opaqueness(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    os.setxattr(folder, "user.overlay.opaque", b"y")
    os.setxattr(folder, "user.overlay.impure", b"y")
    entries = {e.path: e for e in settle(tmp_path)}
    assert entries["d"].kind == "opaque"
    assert os.listxattr(folder) == ["user.overlay.opaque"]


def test_rows_are_unique():
    rows = [*REMOVED, *EMPTIED, *subject.REDATED]
    assert len(rows) == len(set(rows))


def test_password_files_keep_the_owner_that_they_have_below(tmp_path):
    make(tmp_path, "etc/shadow")
    below = [Entry("etc/shadow", "file", 0o640, 0, 42, 0)]
    assert {(e.uid, e.gid) for e in settle(tmp_path, below=below) if e.path == "etc/shadow"} == {(0, 42)}


def test_neither_a_key_store_nor_a_certificate_folder_leads_out_of_the_tree(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "link").symlink_to("ssl-cert-snakeoil.pem")
    (outside / "cacerts").write_bytes(b"keep")
    tree = tmp_path / "tree"
    (tree / "etc/ssl").mkdir(parents=True)
    (tree / "etc/ssl/certs").symlink_to(outside)
    settle(tree)
    assert os.path.islink(outside / "link")
    os.unlink(tree / "etc/ssl/certs")
    (tree / "etc/ssl/certs/java").mkdir(parents=True)
    (tree / "etc/ssl/certs/java/cacerts").symlink_to(outside / "cacerts")
    settle(tree)
    assert (outside / "cacerts").read_bytes() == b"keep"
