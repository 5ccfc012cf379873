"""Builds that are killed, that meet, and that run out of space: the store always verifies, and the next build is a normal one."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.hermetic.kit import wait_for
from tests.support import server as faulty
from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
SH = "#!/bin/sh\nset -e\n"
POOL = "/debian/pool/main/s/subject/subject_1.0_all.deb"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")


def subject(wait: bool = False, size: int = 1 << 20) -> DebRecipe:
    """A package whose script waits, if asked to, until it is told to go on, which nobody does."""
    script = SH + ("echo waiting\nexec sleep 600\n" if wait else "echo x >/etc/subject\n")
    files = {f"usr/share/subject/{number}": os.urandom(size // 64) for number in range(64)}
    return DebRecipe("subject", files=files, scripts={"postinst": script}, compression="none")


def tmp(case: Case, prefix: str) -> list[str]:
    return [name for name in os.listdir(case.store / "tmp") if name.startswith(prefix)]


def partial(case: Case) -> bool:
    return any(name.endswith(".part") for name in os.listdir(case.store / "blobs/sha256"))


def configuring(case: Case) -> bool:
    return any(b"waiting" in (case.store / "logs" / name).read_bytes() for name in os.listdir(case.store / "logs"))


STAGES: dict[str, Callable[[Case], object]] = {
    "solve": lambda case: tmp(case, "solve"),
    "download": partial,
    "unpack": lambda case: tmp(case, "unpack-"),
    "unpacked": lambda case: tmp(case, "unpacked-"),
    "configured": lambda case: tmp(case, "configured-"),
    "script": configuring,
    "recording": lambda case: tmp(case, "environment-"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_after_a_kill_the_next_build_is_a_normal_one(case: Case, stage: str) -> None:
    killed_in(case, stage)


@pytest.mark.parametrize("case", ["plain"], indirect=True)
@pytest.mark.parametrize("stage", ["download", "script"])
def test_after_a_kill_the_next_build_of_a_plain_user_is_a_normal_one(case: Case, stage: str) -> None:
    killed_in(case, stage)


def killed_in(case: Case, stage: str) -> None:
    case.add(subject(wait=stage == "script"))
    case.spec("subject")
    if stage == "download":
        case.server.fault(POOL, faulty.slow(20))
    with case.started("lock") as process:
        wait_for(lambda: STAGES[stage](case) or process.poll() is not None)
        process.kill()
        process.wait()
        assert process.returncode in {0, -signal.SIGKILL}
    wait_for(lambda: not running_in(case))
    if stage == "script":
        case.debian.main.remove("subject")
        case.add(subject())
    case.server.fault(POOL)
    case.environment = {"TEST_CLOCK_OFFSET": "120"}  # after which what lies about is not taken for just begun
    case.envbox("lock")
    case.environment = {}
    assert case.run("cat", "/etc/subject") == "x\n"
    case.verify()  # and with it: nothing is left in tmp/


def running_in(case: Case) -> list[str]:
    """Processes that a killed build left."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            command = file.read()
            if os.fsencode(str(case.store)) in command or b"sleep\x00600" in command:
                found.append(name)
    return found


@both
def test_two_builds_at_once_both_succeed_and_one_waits(case: Case) -> None:
    case.add(DebRecipe("subject", scripts={"postinst": SH + "sleep 1.5\n"}))
    case.spec("subject")
    case.envbox("lock")
    digests = case.digests()
    case.forget_layers()
    case.forget_keys()
    with case.started("build") as first, case.started("build") as second:
        told = [process.communicate(timeout=60)[1].decode() for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0), told
    assert any("waiting for another envbox" in text for text in told), told
    assert case.digests() == digests
    case.verify()


def test_two_locks_at_once_both_succeed_with_the_same_result(case: Case) -> None:
    case.add(subject())
    case.spec("subject")
    with case.started("lock") as first, case.started("lock") as second:
        told = [process.communicate(timeout=60)[1].decode() for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0), told
    assert case.run("cat", "/etc/subject") == "x\n"
    case.verify()


def test_an_interrupt_ends_a_build_without_a_traceback(case: Case) -> None:
    case.add(subject(wait=True))
    case.spec("subject")
    with case.started("lock") as process:
        wait_for(lambda: configuring(case))
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 130, told.decode()
    assert b"Traceback" not in told
    assert not os.listdir(case.store / "tmp")
    wait_for(lambda: not running_in(case))


@pytest.fixture
def small_disk(case: Case) -> Iterator[Path]:
    """The case's store on a file system of its own."""
    place = case.folder.parent / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m,mode=0755", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def resize(place: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)


def free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def used(place: Path) -> int:
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@needs_root
@pytest.mark.parametrize("stage", ["download", "unpack", "configure"])
def test_a_full_disk_is_told_and_with_space_the_build_is_a_normal_one(case: Case, small_disk: Path, stage: str) -> None:
    big = 8 << 20
    script = SH + (
        "head -c 30000000 /dev/urandom >/var/big; rm /var/big\n" if stage == "configure" else "echo x >/etc/subject\n"
    )
    files = {f"usr/share/subject/{number}": bytes([number]) * (big // 8) for number in range(8)}
    recipe = DebRecipe("subject", files=files, scripts={"postinst": script}, compression="none")
    case.add(recipe)
    case.spec("subject")
    store = small_disk / "store"
    subprocess.run(["cp", "-a", case.store, store], check=True)
    case.store = store
    space = {"download": 4 << 20, "unpack": big + (6 << 20), "configure": 2 * big + (16 << 20)}[stage]
    resize(small_disk, f"{(used(small_disk) + space) // 1024}k")
    told = case.fails("lock", code="EB-STORE", status=2, parts=("hint: free some space",))
    assert "no space left" in told.lower()
    assert str(store) in told or "while configuring" in told
    assert not case.lock.exists()
    assert not os.listdir(store / "tmp")
    resize(small_disk, "600m")
    case.envbox("lock")
    assert case.run("dpkg-query", "-W", "-f", "${Status}", "subject") == "install ok installed"
    case.verify()


@needs_root
def test_a_store_on_a_read_only_file_system_is_told(case: Case, small_disk: Path) -> None:
    case.add(subject())
    case.spec("subject")
    subprocess.run(["cp", "-a", case.store, small_disk / "store"], check=True)
    case.store = small_disk / "store"
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    case.fails("lock", code="EB-STORE", status=2, parts=(str(case.store), "Read-only file system", "hint:"))


@pytest.mark.parametrize("case", ["plain"], indirect=True)
def test_a_store_of_somebody_else_is_told(case: Case) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has stores that are not this user's")
    case.spec()
    foreign = case.folder.parent / "foreign"
    foreign.mkdir(mode=0o700)
    os.chown(foreign, 0, 0)
    case.store = foreign
    case.fails("lock", code="EB-STORE", status=2, parts=(str(foreign), "Permission denied", "hint:"))


def test_a_damaged_artifact_in_the_store_is_told_and_removed_then_downloaded_again(case: Case) -> None:
    case.add(subject())
    case.spec("subject")
    case.envbox("lock")
    case.forget_layers()
    case.forget_keys()
    digest = case.read_lock().groups[1].artifacts[0].digest
    blob = case.store / "blobs/sha256" / digest.hex
    blob.write_bytes(b"rot" + blob.read_bytes()[3:])
    case.fails(
        "build", code="EB-ARTIFACT", status=3, parts=("subject 1.0", "damaged", str(blob), "hint: run the same command")
    )
    case.envbox("build")
    case.verify()


def test_progress_is_told_line_by_line_when_nobody_looks(case: Case) -> None:
    told = case.install(subject()).errors.splitlines()
    assert all(re.match(r"envbox: \S", line) for line in told), told
    assert any("Building packages, configured" in line for line in told)
