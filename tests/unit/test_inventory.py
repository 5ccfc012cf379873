import fcntl
import json
import os
import shutil
from dataclasses import replace

import pytest

from envbox import inventory
from envbox import lock as locks
from envbox.lock import ArchiveIndex, ArchiveState, Group, LibrarySet, Lock, Request
from envbox.managers.apt.lists import name_of
from envbox.session import identity_of
from envbox.store import gc, roots
from envbox.store.store import Store
from envbox.values import Architecture, Artifact, Digest


def digest(number):
    return Digest(f"{number:064x}")


def artifact(name, number):
    return Artifact(name, "1.0", f"pool/{name}.deb", 1, digest(number), "main")


LOCK = Lock(
    recipe=1,
    architecture=Architecture.AMD64,
    epoch=0,
    request=Request("debian:13"),
    archives=(
        ArchiveState("main", "http://x", "trixie", 0, digest(1), (), (ArchiveIndex("main/Packages.xz", 1, digest(2)),)),
    ),
    groups=(Group("base", (), (artifact("libc6", 3),), digest(4), digest(5)),),
    libraries=(LibrarySet("python", "3.13", (artifact("uv", 6),), (artifact("numpy", 7),), digest(8)),),
)


def test_every_digest_of_a_lock_is_needed_wherever_it_stands():
    assert inventory.digests_of(LOCK) == {digest(number).hex for number in range(1, 9)}


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store")).prepare()


def project(store, folder, lock=LOCK, session=9):
    """Built: with a record on the lock's layers and one for sessions."""
    folder.mkdir(exist_ok=True)
    text = locks.dumps(lock).encode()
    (folder / "envbox.toml").write_bytes(b"spec")
    (folder / "envbox.lock").write_bytes(text)
    identity = identity_of(str(folder), b"spec", text)
    place = store.path(gc.ENVIRONMENTS, identity)
    os.makedirs(place)
    own = [lock.groups[0].unpacked, lock.groups[0].configured, lock.libraries[0].layer, digest(session)]
    record = {"layers": [store.path(gc.LAYERS, d.hex, "tree") for d in own], "project": str(folder), "home": "h"}
    with open(f"{place}/record.json", "w") as file:
        json.dump(record, file)
    return identity


def test_a_project_needs_its_lock_its_record_and_the_layer_for_sessions(store, tmp_path):
    identity = project(store, tmp_path / "here")
    [user] = inventory.take(store).users
    assert (user.kind, user.path, user.state) == ("project", str(tmp_path / "here"), "here")
    lists = name_of(LOCK.archives, LOCK.architecture)
    assert user.needs == {*inventory.digests_of(LOCK), digest(9).hex, identity, lists}


def test_an_earlier_state_is_not_needed(store, tmp_path):
    old = replace(LOCK, groups=(replace(LOCK.groups[0], configured=digest(20)),))
    before = project(store, tmp_path / "here", old, session=21)
    project(store, tmp_path / "here")
    needed = inventory.take(store).needed
    assert not {before, digest(20).hex, digest(21).hex} & needed


def test_another_spec_of_the_same_lock_is_needed(store, tmp_path):
    before = project(store, tmp_path / "here")
    (tmp_path / "here/envbox.toml").write_text("another")
    assert {before, digest(9).hex} <= inventory.take(store).needed


@pytest.mark.parametrize("name", ["envbox.toml", "envbox.lock"])
def test_a_project_without_its_files_needs_nothing(store, tmp_path, name):
    project(store, tmp_path / "here")
    (tmp_path / "here" / name).unlink()
    [user] = inventory.take(store).users
    assert user.state == ("gone" if name == "envbox.toml" else "here")
    assert user.needs == frozenset()


def test_a_project_below_what_cannot_be_entered_keeps_all_it_was(store, tmp_path):
    identity = project(store, tmp_path / "here")
    os.rename(tmp_path / "here", tmp_path / "away")
    (tmp_path / "here").symlink_to("here")  # ELOOP, for root as well
    [user] = inventory.take(store).users
    assert user.state == "unknown"
    assert identity in user.needs


def test_a_pin_of_an_unreadable_lock_needs_its_record(store, tmp_path):
    identity = project(store, tmp_path / "here")
    (tmp_path / "here/envbox.toml").unlink()
    notebook = tmp_path / "fit.ipynb"
    notebook.write_text("{}")
    for text, more in (("format = 99", set()), (locks.dumps(LOCK), inventory.digests_of(LOCK))):
        roots.add(store, roots.Root(roots.PIN, str(notebook), identity, text))
        assert inventory.take(store).needed >= {identity, digest(9).hex, *more}
    notebook.unlink()
    assert inventory.take(store).needed == frozenset()


def test_records_that_cannot_be_read_are_left_over(store):
    os.makedirs(store.path(gc.ENVIRONMENTS, "x"))
    assert inventory.take(store).users == ()
    far = 1e12
    assert [item.name for item in inventory.unneeded(store, (), far, homes=False)] == ["x"]


def test_homes_go_only_if_asked_for_and_only_of_projects_that_are_gone(store, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "envbox.toml").write_text("spec")
    home = roots.home_name(str(folder))
    os.makedirs(store.path(gc.HOMES, home))
    os.makedirs(store.path(gc.HOMES, "nobody-knows-whose"))
    roots.add(store, roots.Root(roots.PROJECT, str(folder)))

    def removed(homes):
        return {item.name for item in inventory.unneeded(store, (), 1e12, homes=homes)}

    assert removed(homes=True) == set()
    (folder / "envbox.toml").unlink()
    assert removed(homes=False) == set(), "the root stays, which tells whose the home is"
    assert removed(homes=True) == {home, f"{roots.Root(roots.PROJECT, str(folder)).name}.json"}


def test_the_home_of_a_running_session_is_needed_though_its_project_is_gone(store, tmp_path):
    identity = project(store, tmp_path / "here")
    os.makedirs(store.path(gc.HOMES, "h"))
    shutil.rmtree(tmp_path / "here")

    def choose(used):
        return inventory.unneeded(store, used, 1e12, homes=True)

    session = store.path("tmp", f"session-{os.getpid()}-0a-{identity}")
    os.mkdir(session)
    for runs in (True, False):
        descriptor = os.open(session, os.O_RDONLY)
        if runs:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        homes = [item.name for item in gc.would_take_out(store, choose).items if item.folder == gc.HOMES]
        assert homes == ([] if runs else ["h"])
        os.close(descriptor)
