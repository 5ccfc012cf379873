"""What is said about hosts that do not allow something."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from envbox.errors import HostError, StoreFailed
from envbox.host.probe import architecture, check_store_filesystem, explain_namespaces, filesystem_of
from envbox.values import Architecture

if TYPE_CHECKING:
    from pathlib import Path

ALLOWED = {"proc/sys/user/max_user_namespaces": "128038\n", "proc/self/ns/user": ""}


def made_up(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("files", "number", "reason", "hint"),
    [
        (
            {"proc/sys/kernel/unprivileged_userns_clone": "0\n"},
            errno.EPERM,
            "kernel.unprivileged_userns_clone is 0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            {"proc/sys/user/max_user_namespaces": "0\n"},
            errno.ENOSPC,
            "user.max_user_namespaces is 0",
            "sudo sysctl -w user.max_user_namespaces=15000",
        ),
        (
            {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"},
            errno.EACCES,
            "AppArmor restricts user namespaces",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            {".dockerenv": "", "proc/self/status": "Name:\tx\nSeccomp:\t2\n"},
            errno.EPERM,
            "docker container whose system-call filter",
            "seccomp=unconfined",
        ),
        (
            {"run/.containerenv": "", "proc/self/status": "Seccomp:\t0\n"},
            errno.EPERM,
            "podman container that forbids it",
            "unmask=ALL",
        ),
        (
            {"proc/1/cgroup": "0::/kubepods/burstable/pod1\n", "proc/self/status": "Seccomp:\t2\n"},
            errno.EPERM,
            "a container whose system-call filter",
            "seccompProfile: Unconfined",
        ),
        ({}, errno.ENOSPC, "all 128038 user namespaces are in use", "sysctl -w user.max_user_namespaces="),
        ({}, errno.EUSERS, "nested too deeply", "outside of other sandboxes"),
        ({}, errno.ENOSYS, "without user namespaces", "CONFIG_USER_NS=y"),
        ({}, errno.EPERM, "a security policy forbids it", "unshare --user"),
        (  # a filter of its own does not make a host a container
            {"proc/self/status": "Seccomp:\t2\n", "proc/sys/kernel/unprivileged_userns_clone": "1\n"},
            errno.EPERM,
            "a security policy forbids it",
            "unshare --user",
        ),
        (  # both forbid it, and this one is asked first
            {
                "proc/sys/user/max_user_namespaces": "0\n",
                "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
            },
            errno.ENOSPC,
            "user.max_user_namespaces is 0",
            "sysctl",
        ),
    ],
)
def test_the_setting_that_forbids_namespaces_is_named_with_its_remedy(
    files: dict[str, str], number: int, reason: str, hint: str, tmp_path: Path
) -> None:
    denied = explain_namespaces("unshare", number, made_up(tmp_path, ALLOWED | files))
    assert reason in denied.message
    assert f"(unshare: {os.strerror(number)})" in denied.message
    assert hint in denied.hint


def test_a_host_without_proc_is_explained_too(tmp_path: Path) -> None:
    assert "user namespaces" in explain_namespaces("unshare", errno.EPERM, str(tmp_path)).message


def test_processors() -> None:
    assert architecture("x86_64") is Architecture.AMD64
    assert architecture("aarch64") is Architecture.ARM64
    assert architecture().machine == os.uname().machine
    for machine in ("riscv64", "i686", "armv7l", "amd64 "):
        with pytest.raises(HostError, match=machine):
            architecture(machine)


def test_the_file_system_is_the_one_that_df_tells(tmp_path: Path) -> None:
    for path in (str(tmp_path), "/proc", "/"):
        told = subprocess.run(
            ["findmnt", "--noheadings", "--output", "FSTYPE,TARGET", "--target", path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        found = filesystem_of(path)
        assert [found.kind, found.mount_point] == told
    free = shutil.disk_usage(tmp_path).free
    assert abs(filesystem_of(f"{tmp_path}/not/yet/there").free - free) < free / 10 + (1 << 20)


def mount_table(root: Path, lines: list[str]) -> str:
    text = "".join(f"{30 + number} 1 8:1 / {line} 0 0\n" for number, line in enumerate(lines))
    return made_up(root, {"proc/self/mountinfo": text})


def test_the_innermost_and_latest_mount_counts(tmp_path: Path) -> None:
    (tmp_path / "my home").mkdir()
    escaped = str(tmp_path / "my home").replace(" ", "\\040")
    root = mount_table(
        tmp_path,
        [
            "/ rw - ext4 /dev/sda",
            f"{escaped} rw shared:1 - xfs /dev/sdb",
            f"{escaped} rw shared:1 master:2 - nfs4 server:/home",
            f"{tmp_path}/my rw - vfat /dev/sdc",
        ],
    )
    assert filesystem_of(f"{tmp_path}/my home/x", root).kind == "nfs4"
    assert filesystem_of(f"{tmp_path}/else", root).kind == "ext4"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nfs4", "network file system"),
        ("lustre", "network file system"),
        ("9p", "network file system"),
        ("vfat", "no Unix modes"),
        ("overlay", "of a container"),
    ],
)
def test_a_store_that_could_not_work_is_refused(kind: str, reason: str, tmp_path: Path) -> None:
    root = mount_table(tmp_path, [f"/ rw - {kind} x"])
    with pytest.raises(StoreFailed, match=reason) as caught:
        check_store_filesystem(str(tmp_path), root)
    assert "ENVBOX_STORE" in caught.value.hint


def test_a_store_on_a_local_disk_is_fine_and_left_as_it_was(tmp_path: Path) -> None:
    root = mount_table(tmp_path, ["/ rw - ext4 /dev/sda"])
    (tmp_path / "store").mkdir()
    assert check_store_filesystem(str(tmp_path / "store"), root).kind == "ext4"
    assert os.listdir(tmp_path / "store") == []


def test_a_store_without_attributes_or_not_there_is_refused(tmp_path: Path) -> None:
    root = mount_table(tmp_path, ["/ rw - ext4 /dev/sda"])
    with pytest.raises(StoreFailed, match="cannot write in the store"):
        check_store_filesystem(str(tmp_path / "missing"), root)
    with pytest.raises(StoreFailed, match=r"cannot write|no user attributes"):
        check_store_filesystem("/proc/self", root)
