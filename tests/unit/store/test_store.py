import os

import pytest

from envbox.errors import StoreFailed
from envbox.host.probe import check_store_filesystem
from envbox.store.store import Store


def test_a_folder_that_is_not_there_becomes_a_store(tmp_path):
    store = Store(str(tmp_path / "a" / "b")).prepare()
    assert os.stat(store.root).st_mode & 0o777 == 0o700
    assert Store(store.root).prepare().root == store.root


def test_an_empty_folder_becomes_a_store(tmp_path):
    os.chmod(tmp_path, 0o755)
    Store(str(tmp_path)).prepare()
    assert os.stat(tmp_path).st_mode & 0o777 == 0o700


def test_a_folder_with_other_things_is_left_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    os.chmod(tmp_path, 0o755)
    with pytest.raises(StoreFailed, match="holds other things"):
        Store(str(tmp_path)).prepare()
    assert os.stat(tmp_path).st_mode & 0o777 == 0o755
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_what_another_envbox_tries_the_file_system_with_is_no_other_thing(tmp_path):
    (tmp_path / ".envbox-probe-abc").write_text("")
    assert Store(str(tmp_path)).prepare().root == str(tmp_path)


def test_trying_the_file_system_leaves_no_name_in_the_store_while_it_lasts(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "setxattr", lambda *_: seen.append(os.listdir(tmp_path)))
    check_store_filesystem(str(tmp_path))
    assert seen == [[]]


def test_a_folder_that_everybody_writes_is_left_as_it_is(tmp_path):
    os.chmod(tmp_path, 0o1777)
    with pytest.raises(StoreFailed, match="writable by everybody"):
        Store(str(tmp_path)).prepare()
    assert os.stat(tmp_path).st_mode & 0o7777 == 0o1777
    assert os.listdir(tmp_path) == []
