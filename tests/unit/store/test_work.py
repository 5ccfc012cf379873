import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest

from envbox.errors import StoreFailed
from envbox.store import work
from envbox.store.removal import remove_tree
from envbox.store.store import Store, explaining
from envbox.store.work import exclusive, is_whole, publish, seal, sweep, work_folder, write_file


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store")).prepare()


def finished(store, name, content="x"):
    folder = store.path("tmp", name)
    os.makedirs(folder)
    with open(os.path.join(folder, "content"), "w") as file:
        file.write(content)
    return folder


def read(target):
    with open(os.path.join(target, "content")) as file:
        return file.read()


def test_a_store_is_its_owners_alone(store):
    assert os.stat(store.root).st_mode & 0o777 == 0o700


def test_what_is_published_is_whole_and_the_first_stays(store):
    target = store.path("layers-v1", "a")
    publish(finished(store, "one", "first"), target)
    publish(finished(store, "two", "second"), target)
    assert is_whole(target)
    assert read(target) == "first"
    assert os.listdir(store.path("tmp")) == []


def test_what_an_earlier_boot_left_unsynced_is_not_whole_and_is_replaced(store):
    target = store.path("layers-v1", "a")
    publish(finished(store, "one", "torn"), target)
    with open(os.path.join(target, "boot"), "w") as file:
        file.write("another boot")
    assert not is_whole(target)
    publish(finished(store, "two", "good"), target)
    assert is_whole(target)
    assert read(target) == "good"


def test_what_is_sealed_outlives_a_boot(store):
    target = store.path("layers-v1", "a")
    publish(finished(store, "one"), target)
    seal(store, [target])
    with open(os.path.join(target, "boot"), "w") as file:
        file.write("another boot")
    assert is_whole(target)


def test_sweeping_removes_what_nobody_holds_and_spares_the_rest(store, monkeypatch):
    monkeypatch.setattr(work, "_SETTLING", 0.0)
    finished(store, "dead")
    with work_folder(store, "alive") as alive:
        assert sweep(store) == 1
        assert os.path.isdir(alive)
    assert os.listdir(store.path("tmp")) == []


def test_sweeping_spares_what_was_made_just_now(store):
    finished(store, "young")
    assert sweep(store) == 0


def test_a_killed_process_leaves_a_folder_that_is_swept(store, monkeypatch):
    monkeypatch.setattr(work, "_SETTLING", 0.0)
    program = (
        "import sys, time; from envbox.store.store import Store; from envbox.store.work import work_folder\n"
        "with work_folder(Store(sys.argv[1]), 'x'): print('in', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, store.root], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"in\n"
    assert sweep(store) == 0
    child.kill()
    child.wait()
    assert sweep(store) == 1


def test_an_exclusive_lock_is_waited_for_and_said(store):
    said = []
    with exclusive(store, "key", lambda: said.append("never")):
        other = threading.Thread(target=lambda: exclusive(store, "key", lambda: said.append("waits")).__enter__())
        other.daemon = True
        other.start()
        deadline = time.monotonic() + 5
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
    other.join(5)
    assert said == ["waits"]


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    write_file(str(path), b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_trees_are_removed_where_their_folders_deny_it(tmp_path):
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "kept").write_text("x")
    (tmp_path / "a/link").symlink_to(tmp_path / "kept")
    os.chmod(tmp_path / "a/b", 0o000)
    remove_tree(str(tmp_path / "a"))
    assert os.listdir(tmp_path) == ["kept"]


def test_a_full_disk_is_explained(tmp_path):
    with pytest.raises(StoreFailed, match="no space left"), explaining(str(tmp_path)):
        raise OSError(28, "No space left on device", str(tmp_path / "x"))


def test_other_errors_pass(tmp_path):
    with pytest.raises(FileNotFoundError), explaining(str(tmp_path)):
        (tmp_path / "missing").read_text()


def test_locks_are_released(store):
    with exclusive(store, "key", lambda: None):
        pass
    with open(store.path("locks", "key")) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_builds_share_the_store_and_a_removal_waits_for_all_of_them(store):
    told = []
    with work.building(store, lambda: told.append("build")), work.building(store, lambda: told.append("build")):
        assert told == []
        remover = threading.Thread(target=lambda: work.removing(store, lambda: told.append("wait")).__enter__())
        remover.start()
        remover.join(0.3)
        assert told == ["wait"]
        assert remover.is_alive()
    remover.join(10)
    assert not remover.is_alive()
