"""What somebody needs is never removed, what nobody needs goes, and the numbers are those of the disk."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from envbox.errors import CommandNotStarted
from envbox.session import WorkFolder
from envbox.store import gc, roots
from envbox.store.store import Store
from tests.hermetic.kit import wait_for
from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)


def package(name: str, size: int = 1 << 20, seconds: float = 0) -> DebRecipe:
    script = f"#!/bin/sh\nset -e\nsleep {seconds}\necho {name} >/etc/{name}\n"
    return DebRecipe(
        name, files={f"usr/share/{name}/data": os.urandom(size)}, scripts={"postinst": script}, compression="none"
    )


def names(case: Case, folder: str) -> set[str]:
    return set(os.listdir(case.store / folder))


def records(case: Case) -> set[str]:
    return names(case, "environments-v1")


def moved_on(case: Case) -> tuple[set[str], set[str]]:
    """A project that was built with one package, and is now with another; the layers of each."""
    case.add(package("first"), package("second"))
    case.spec("first")
    case.envbox("lock")
    before, first = case.layers(), set(case.digests())
    case.spec("second")
    case.envbox("lock")
    own = {digest.removeprefix("sha256:") for digest in set(case.digests()) - first}
    assert own
    assert not own & before
    return {digest.removeprefix("sha256:") for digest in first - set(case.digests())}, own


@contextlib.contextmanager
def session(case: Case) -> Iterator[subprocess.Popen[bytes]]:
    """One that tells /etc/first once it is told to go on."""
    script = "cat /etc/first >ready; until [ -e go ]; do sleep 0.02; done; cat /etc/first /usr/share/first/data"
    with case.started("run", "--", "sh", "-c", script) as process:
        wait_for((case.folder / "ready").exists)
        yield process


def finish(case: Case, process: subprocess.Popen[bytes]) -> bytes:
    (case.folder / "go").touch()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output


@both
def test_a_project_keeps_what_it_is_now_and_builds_it_without_the_network(case: Case) -> None:
    old, own = moved_on(case)
    assert len(records(case)) == 2
    told = case.envbox("gc", "--dry-run").output
    assert "2 layers" in told
    assert old < case.layers(), "a dry run removes nothing"
    assert case.envbox("gc").output == told.replace("Would free", "Freed")
    assert not old & case.layers()
    assert own < case.layers()
    assert len(records(case)) == 1
    assert "nothing is left over" in case.envbox("gc").output
    assert case.run("cat", "/etc/second") == "second\n"
    case.envbox("verify", "--all")
    case.verify()
    case.forget_layers()
    case.server.__exit__(None, None, None)
    case.envbox("build")
    assert case.run("cat", "/etc/second") == "second\n"


@both
def test_a_running_session_keeps_what_it_runs_on_when_its_project_has_moved_on(case: Case) -> None:
    case.add(package("first"), package("second"))
    case.spec("first")
    case.envbox("lock")
    case.envbox("gc")  # what other tests put into the store
    layers = case.layers()
    with session(case) as process:
        assert "nothing is left over" in case.envbox("gc").output
        case.spec("second")
        case.envbox("lock")
        case.envbox("gc")
        assert layers <= case.layers()
        assert finish(case, process).startswith(b"first\n")
    case.envbox("gc")
    assert not layers <= case.layers()
    case.verify()


def test_a_session_that_was_killed_keeps_nothing(case: Case) -> None:
    case.add(package("first"), package("second"))
    case.spec("first")
    case.envbox("lock")
    old = {digest.removeprefix("sha256:") for digest in case.digests()}
    with session(case) as process:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    case.spec("second")
    case.envbox("lock")
    wait_for(lambda: not gc.sessions(Store(str(case.store))))
    case.envbox("gc")
    assert not old <= case.layers()


def test_a_session_keeps_what_it_runs_on_even_if_its_record_is_lost(case: Case) -> None:
    case.add(package("first"), package("second"))
    case.spec("first")
    case.envbox("lock")
    before = records(case)
    layers = case.layers()
    with session(case) as process:
        case.spec("second")
        case.envbox("lock")
        for name in before:
            os.rename(case.store / "environments-v1" / name, case.store / "tmp" / name)
        case.envbox("gc")
        assert layers <= case.layers()
        assert finish(case, process).startswith(b"first\n")


def test_a_session_that_begins_while_its_environment_is_removed_keeps_it(case: Case) -> None:
    """At the very moment between the look at what runs and the removal."""
    moved_on(case)
    store = Store(str(case.store))
    old = next(name for name in records(case) if is_old(case, name))
    values = gc.record(store, old)
    assert values
    session_layer = gc.layers_of(values)[-1]
    begun = contextlib.ExitStack()

    def choose(used: Collection[str]) -> list[gc.Item]:
        assert old not in used
        begun.enter_context(WorkFolder(store.root, "demo", old))
        return [gc.Item(gc.ENVIRONMENTS, old, 0.0), gc.Item(gc.LAYERS, session_layer, 0.0)]

    with begun:
        assert gc.take_out(store, choose, lambda: None).items == ()
        assert old in records(case)
        assert session_layer in case.layers()


def test_a_session_that_begins_once_its_record_is_hidden_does_not_begin(case: Case) -> None:
    moved_on(case)
    store = Store(str(case.store))
    old = next(name for name in records(case) if is_old(case, name))
    gc.take_out(store, lambda _used: [gc.Item(gc.ENVIRONMENTS, old, 0.0)], lambda: None)
    with pytest.raises(CommandNotStarted, match="removed from the store"), WorkFolder(store.root, "demo", old):
        pass
    assert os.listdir(case.store / "tmp") == []


def is_old(case: Case, name: str) -> bool:
    text = (case.store / "environments-v1" / name / "record.json").read_text()
    return not all(digest.removeprefix("sha256:") in text for digest in case.digests())


def test_a_project_that_is_gone_keeps_nothing_but_its_home(case: Case) -> None:
    case.install(package("first"))
    case.run("sh", "-c", "echo mine >~/file")
    [home] = (case.store / "homes").iterdir()
    aside = case.folder.with_name("aside")
    case.folder.rename(aside)
    gone = {"cwd": "/"}
    usages = json.loads(case.envbox("cache", "--json", **gone).output)["usages"]
    assert [usage["state"] for usage in usages] == ["gone"]
    case.envbox("gc", **gone)
    assert case.layers() == set()
    assert names(case, "blobs/sha256") == names(case, "packages-v1") == names(case, "keys-v1") == records(case) == set()
    assert (home / "file").read_text() == "mine\n"
    case.envbox("gc", "--homes", **gone)
    assert names(case, "homes") == names(case, "roots") == set()
    aside.rename(case.folder)
    case.envbox("build")
    assert case.run("cat", "/etc/first") == "first\n"
    case.envbox("gc", "--homes")
    assert len(names(case, "homes")) == 1, "the project is here again"


def test_a_project_whose_files_cannot_be_understood_now_keeps_all_that_it_was(case: Case) -> None:
    old, own = moved_on(case)
    text = case.lock.read_text()
    case.write("envbox.lock", "<<<<<<< ours\n" + text)
    case.envbox("gc")
    assert old | own <= case.layers()
    case.write("envbox.lock", text)
    case.envbox("gc")
    assert not old & case.layers()


def test_what_was_made_lately_is_kept_if_asked_for(case: Case) -> None:
    old, _ = moved_on(case)
    assert "nothing is left over" in case.envbox("gc", "--older-than", "1").output
    assert old < case.layers()
    assert case.run("cat", "/etc/second") == "second\n"
    case.environment = {"TEST_CLOCK_OFFSET": str(2 * 86400)}
    assert "2 layers" in case.envbox("gc", "--older-than", "1").output


def test_a_pin_keeps_its_environment_and_what_builds_it_until_its_file_is_gone(case: Case) -> None:
    case.add(package("first"), package("second"))
    case.spec("first")
    case.envbox("lock")
    case.envbox("gc")  # what other tests put into the store
    lock, layers, [identity] = case.lock.read_text(), case.layers(), records(case)
    artifacts = names(case, "blobs/sha256")
    notebook = case.write("fit.ipynb", "{}")
    store = Store(str(case.store))
    pin = roots.Root(roots.PIN, str(notebook), identity, lock)
    roots.add(store, pin)
    assert pin in roots.listed(store)
    case.spec("second")
    case.envbox("lock")
    case.envbox("gc")
    assert layers <= case.layers()
    assert identity in records(case)
    assert artifacts <= names(case, "blobs/sha256")
    usages = json.loads(case.envbox("cache", "--json").output)["usages"]
    assert [(usage["kind"], usage["path"], usage["state"]) for usage in usages] == [
        ("project", str(case.folder), "here"), ("pin", str(notebook), "here"),
    ]  # fmt: skip
    notebook.unlink()
    case.envbox("gc")
    assert not layers <= case.layers()
    assert pin not in roots.listed(store)


@both
def test_a_build_loses_nothing_to_a_removal_at_the_same_time(case: Case) -> None:
    """Two builds of a project that no record tells of, and one removal after the other."""
    case.add(package("first", seconds=0.5), package("second", seconds=0.5))
    case.spec("first")
    other = case.folder.with_name("other")
    shutil.copytree(case.folder, other)
    spec = other / "envbox.toml"
    spec.write_text(spec.read_text().replace('"first"', '"second"'))
    case.person.own(other)
    with case.started("lock") as one, case.started("lock", cwd=other) as two:
        waited = False
        while one.poll() is None or two.poll() is None:
            waited |= "waiting for another envbox" in case.envbox("gc").errors
        for process in (one, two):
            assert process.wait() == 0, process.communicate()
    assert waited
    case.envbox("gc")
    assert case.run("cat", "/etc/first") == "first\n"
    assert case.run("cat", "/etc/second", cwd=other) == "second\n"
    case.envbox("verify", "--all")
    case.verify()


@pytest.mark.parametrize("after", [0, 2])
def test_a_removal_that_is_killed_leaves_a_store_that_verifies(case: Case, after: int) -> None:
    moved_on(case)
    program = (
        "import os, sys\nfrom envbox.store import gc\nrename, left = os.rename, [int(sys.argv.pop())]\n"
        "def counted(*names):\n    rename(*names)\n    left[0] -= 1\n    left[0] >= 0 or os.kill(os.getpid(), 9)\n"
        "os.rename = counted\nfrom envbox.__main__ import main\nsys.argv[1:] = ['gc']\nsys.exit(main())\n"
    )
    killed = case.execute([case.person.python, "-c", program, str(after)], status=None)
    assert killed.status == -signal.SIGKILL, str(killed)
    case.envbox("verify", "--all")
    assert case.run("cat", "/etc/second") == "second\n"
    case.environment = {"TEST_CLOCK_OFFSET": "120"}
    case.envbox("gc")
    case.envbox("build")
    case.verify()


@both
def test_the_numbers_add_up_to_those_of_du(case: Case) -> None:
    moved_on(case)
    case.run("sh", "-c", "head -c 300000 /dev/urandom >~/data; ln ~/data ~/again")
    facts = json.loads(case.envbox("cache", "--json").output)
    assert facts["disk"] == du(case.store)
    assert sum(category["disk"] for category in facts["categories"]) == facts["disk"]
    by_name = {category["name"]: category for category in facts["categories"]}
    assert by_name["layers"]["number"] == len(case.layers())
    assert by_name["homes"]["disk"] >= 300000
    # One copy of each package's data: that of the layer is that of its package tree.
    assert by_name["package trees"]["disk"] < by_name["package trees"]["alone"] - (2 << 20)
    [usage] = facts["usages"]
    assert usage["path"] == str(case.folder)
    assert 1 << 20 < usage["exclusive"] <= usage["disk"]
    before = du(case.store)
    case.envbox("gc")
    freed = facts["removable"]["bytes"]
    assert freed > 1 << 20
    # What is around it comes and goes too: lock files, keys, and folders that shrink.
    assert abs(before - du(case.store) - freed) < 64 << 10
    told = case.envbox("cache").output
    assert str(case.folder) in told
    assert "would free" in told


def test_projects_that_share_a_base_are_told_what_they_would_take_apart(case: Case) -> None:
    case.install(package("first"))
    other = case.sibling("other")
    other.envbox("build")
    facts = json.loads(case.envbox("cache", "--json").output)
    assert facts["apart"] == 2 * facts["shared"]
    assert all(usage["exclusive"] == 0 < usage["disk"] for usage in facts["usages"])


def du(path: Path) -> int:
    done = subprocess.run(["du", "-s", "--block-size=1", path], capture_output=True, check=True)
    return int(done.stdout.split()[0])


def test_sessions_are_neither_held_up_by_a_removal_nor_hold_one_up(case: Case) -> None:
    case.install(package("first"))
    place = case.store / "locks" / "store"
    with place.open("r+") as file, session(case) as process:
        subprocess.run(["flock", "-n", str(file.fileno())], pass_fds=[file.fileno()], check=True)
        started = time.monotonic()
        assert case.run("cat", "/etc/first") == "first\n"
        assert time.monotonic() - started < 30
        finish(case, process)
