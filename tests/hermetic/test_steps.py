"""Commands of the project's own: each a layer, offline, from inputs known by hash."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)


def step(name: str, run: str, *inputs: str) -> str:
    return f"[[step]]\nname = \"{name}\"\nrun = '''\n{run}\n'''\ninputs = [{', '.join(inputs)}]\n"


def model() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("model/weights")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"1 2"))
    return buffer.getvalue()


@pytest.fixture
def served(case: Case) -> tuple[Case, str]:
    data = model()
    (case.server.content / "model.tar.gz").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return case, f'{{ url = "{case.server.url}/model.tar.gz", sha256 = "{digest}" }}'


def folder(case: Case, name: str) -> Path:
    path = case.folder / name
    path.mkdir()
    (path / "run.sh").write_text("#!/bin/sh\nmkdir -p /opt/tool\ncp /inputs/tool/data /opt/tool/data\n")
    (path / "run.sh").chmod(0o755)
    (path / "data").write_text("data\n")
    (path / "link").symlink_to("data")
    case.person.own(case.folder)
    return path


@both
def test_a_step_makes_a_layer_of_what_it_writes(served: tuple[Case, str]) -> None:
    case, download = served
    folder(case, "tool")
    run = (
        "tar -xf /inputs/model.tar.gz -C /opt\n/inputs/tool/run.sh\nchown -R 33:33 /opt/tool\ntest -L /inputs/tool/link\n"
        "mkdir -p /var/lib/mysql; echo ours >/var/lib/mysql/seed"  # which no package may leave
    )
    case.spec(more=step("model", run, download, '{ path = "tool" }'))
    case.envbox("lock")
    assert case.run("cat", "/opt/model/weights", "/opt/tool/data") == "1 2data\n"
    entries = case.entries()
    assert (entries["opt/tool/data"].uid, entries["opt/tool/data"].gid) == (33, 33)
    assert "inputs" not in entries
    assert "var/lib/mysql/seed" in entries
    lock = case.read_lock()
    assert [(part.name, part.source) for part in lock.steps[0].inputs] == [
        ("model.tar.gz", f"{case.server.url}/model.tar.gz"),
        ("tool", "tool/"),
    ]
    case.envbox("lock", "--check")


def test_root_and_a_plain_user_make_the_same_layer_whatever_the_umask(new_case: object) -> None:
    digests = set()
    for name, umask in (("runner", 0o077), ("plain", 0o002)):
        case = new_case(name)  # type: ignore[operator]
        before = os.umask(umask)
        try:
            folder(case, "tool")
            case.spec(more=step("model", "/inputs/tool/run.sh; cp -a /inputs/tool /opt/copy", '{ path = "tool" }'))
        finally:
            os.umask(before)
        case.envbox("lock")
        lock = case.read_lock()
        digests.add((lock.steps[0].layer, lock.steps[0].inputs))
    assert len(digests) == 1


def test_a_step_has_no_network_and_its_failure_is_told_with_its_last_lines(case: Case) -> None:
    case.spec(more=step("fetch", "echo about to fail\ncat /proc/net/dev | wc -l\nls /nowhere"))
    parts = ("step 'fetch' failed with status 2", "about to fail", "/nowhere", "the whole log is in")
    told = case.fails("lock", code="EB-BUILD", status=1, parts=parts)
    assert "\n  3\n" in told  # two lines of heading and the loopback
    assert not case.lock.exists()


def test_a_step_runs_again_only_when_something_that_goes_in_changes(case: Case) -> None:
    folder(case, "tool")
    case.add(DebRecipe("hello"))
    steps = step("one", "echo one >/one") + step("two", "cat /one; /inputs/tool/run.sh", '{ path = "tool" }')
    case.spec(more=steps)
    case.envbox("lock")
    assert "Nothing to do" in case.envbox("build").output
    first = case.read_lock().steps
    (case.folder / "tool/data").write_text("other\n")
    case.fails("build", code="EB-STALE", status=1, parts=("step two: tool/ is not what was locked", "envbox lock"))
    case.fails("run", "--", "true", code="EB-STALE", status=1, parts=("step two",))
    case.envbox("lock")
    second = case.read_lock().steps
    assert (second[0].layer == first[0].layer, second[1].layer == first[1].layer) == (True, False)
    assert case.run("cat", "/opt/tool/data") == "other\n"


def test_a_step_that_is_changed_in_the_spec_makes_the_lock_stale(case: Case) -> None:
    case.spec(more=step("one", "echo one >/one"))
    case.envbox("lock")
    case.spec(more=step("one", "echo two >/one") + step("two", "true"))
    told = case.fails(
        "build", code="EB-STALE", status=1, parts=("step.run: that of step one", "step: two is in envbox.toml")
    )
    assert "hint: run `envbox lock`" in told


def test_an_input_with_other_bytes_than_promised_is_refused(served: tuple[Case, str]) -> None:
    case, _ = served
    digest = "0" * 64
    case.spec(more=step("model", "true", f'{{ url = "{case.server.url}/model.tar.gz", sha256 = "{digest}" }}'))
    case.fails("lock", code="EB-ARTIFACT", status=3, parts=("model.tar.gz", digest))


def test_an_input_that_is_not_there_is_told(case: Case) -> None:
    case.spec(more=step("model", "true", '{ path = "scripts/missing.sh" }'))
    case.fails("lock", code="EB-SPEC", status=1, parts=("step model", "scripts/missing.sh", "No such file"))


def test_inputs_are_kept_so_that_a_build_needs_no_network(served: tuple[Case, str]) -> None:
    case, download = served
    case.spec(more=step("model", "tar -xf /inputs/model.tar.gz -C /opt", download))
    case.envbox("lock")
    layer = case.read_lock().steps[0].layer
    assert layer
    shutil.rmtree(case.store / "layers-v1" / layer.hex)
    (case.server.content / "model.tar.gz").unlink()
    case.envbox("build")
    assert case.run("cat", "/opt/model/weights") == "1 2"


def test_a_step_that_gives_other_bytes_each_time_is_told_when_it_is_built_again(case: Case) -> None:
    case.spec(more=step("random", "cat /proc/sys/kernel/random/uuid >/opt/uuid"))
    case.envbox("lock")
    layer = case.read_lock().steps[0].layer
    assert layer
    shutil.rmtree(case.store / "layers-v1" / layer.hex)
    case.fails("build", code="EB-DIGEST", status=3, parts=("step random", "/opt/uuid", "envbox lock --record"))
    case.envbox("lock", "--record")
    assert case.read_lock().steps[0].layer != layer
    assert "Nothing to do" in case.envbox("build").output


def test_inputs_have_one_mode_and_time_however_they_came_to_the_store(new_case: object) -> None:
    found = set()
    for umask, by_url in ((0o077, True), (0o022, True), (0o022, False)):
        case = new_case()  # type: ignore[operator]
        (case.server.content / "data").write_bytes(b"data")
        (case.folder / "data").write_bytes(b"data")
        digest = hashlib.sha256(b"data").hexdigest()
        remote = f'{{ url = "{case.server.url}/data", sha256 = "{digest}" }}'
        run = "cp -p /inputs/data /opt/data; ls -l --time-style=+%s /inputs/data >/opt/listing; ulimit -n >/opt/limit"
        case.spec(more=step("copy", run, remote if by_url else '{ path = "data" }'))
        before = os.umask(umask)
        try:
            case.envbox("lock")
        finally:
            os.umask(before)
        found.add(case.read_lock().steps[0].layer)
    assert len(found) == 1


def test_a_link_that_leads_out_of_the_project_is_no_input(case: Case) -> None:
    (case.folder / "data").symlink_to("/etc/hostname")
    case.spec(more=step("copy", "true", '{ path = "data" }'))
    case.fails("lock", code="EB-SPEC", status=1, parts=("step copy", "data leads out of the project"))


def test_a_pipe_in_a_folder_is_told(case: Case) -> None:
    os.mkfifo(folder(case, "tool") / "pipe")
    case.spec(more=step("copy", "true", '{ path = "tool" }'))
    case.fails("lock", code="EB-SPEC", status=1, parts=("step copy", "neither a file nor a folder"))


def test_an_input_that_is_saved_while_it_is_built_makes_the_lock_stale(case: Case) -> None:
    (case.folder / "data").write_text("one")
    case.person.own(case.folder)
    case.spec(more=step("slow", "cat /inputs/data >/opt/data; sleep 3", '{ path = "data" }'))
    with case.started("lock") as process:
        deadline = time.monotonic() + 60
        while not any("step" in name for name in os.listdir(case.store / "tmp")) and time.monotonic() < deadline:
            time.sleep(0.05)
        (case.folder / "data").write_text("two")
        assert process.wait(60) == 0
    case.fails("run", "--", "true", code="EB-STALE", status=1, parts=("step slow: data is not what was locked",))


def test_a_step_makes_no_name_that_stands_for_a_whiteout(case: Case) -> None:
    case.spec(more=step("hide", "touch /opt/.wh.tool"))
    case.fails("lock", code="EB-BUILD", status=1, parts=("step hide: it makes /opt/.wh.tool",))
