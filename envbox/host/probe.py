"""What this host can do, and when it cannot, which setting stands in the way and how to change it."""

from __future__ import annotations

import os
import re
import tempfile
from errno import EINVAL, ENOSPC, ENOSYS, EUSERS
from typing import NamedTuple

from envbox.errors import HostError, NamespacesDenied, StoreFailed
from envbox.values import Architecture

# fmt: off
_NETWORKED = {
    "nfs", "nfs4", "lustre", "gpfs", "panfs", "beegfs", "beegfs_nodev", "ceph", "afs", "cifs", "smb3",
    "smbfs", "9p", "v9fs", "ncpfs", "pvfs2", "glusterfs", "prl_fs", "vboxsf", "fuse.glusterfs", "fuse.sshfs",
    "fuse.s3fs", "fuse.rclone", "fuse.vmhgfs-fuse", "fuse.lustre", "fuse.ceph",
}
# fmt: on
_WITHOUT_MODES = {"vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk", "hfsplus", "drvfs"}
_STORE_HINT = "put the store on a local disk: export ENVBOX_STORE=/var/tmp/envbox-$(id -un)"
_CONTAINER_HINTS = {
    "docker container": "start the container with --security-opt seccomp=unconfined"
    " --security-opt apparmor=unconfined --security-opt systempaths=unconfined",
    "podman container": "start the container with --security-opt seccomp=unconfined --security-opt unmask=ALL",
    "container": "ask for a container that may make user namespaces (seccompProfile: Unconfined)",
}


class FileSystem(NamedTuple):
    """What a path is on."""

    kind: str
    """As in /proc/mounts: ext4, nfs4, ..."""
    free: int
    """Bytes that this user may still write."""
    mount_point: str


def architecture(machine: str | None = None) -> Architecture:
    """Of this host, or of a machine as `uname -m` spells it. Raises HostError for one without support."""
    machine = machine or os.uname().machine
    try:
        return Architecture.of_machine(machine)
    except ValueError:
        raise HostError(
            f"envbox does not support the processor of this host: {machine}",
            hint="run envbox on an x86_64 or aarch64 Linux host",
        ) from None


def explain_namespaces(stage: str, errno: int, root: str = "/") -> NamespacesDenied:
    """Why `stage` (such as "unshare") failed with `errno`: what setting forbids it, what command mends it."""
    reason, hint = _denial(errno, root)
    return NamespacesDenied(
        f"this host does not let a plain user make an isolated environment: {reason} ({stage}: {os.strerror(errno)})",
        hint=hint,
    )


def _denial(errno: int, root: str) -> tuple[str, str]:
    """The reason and what mends it: of all that may forbid it here, what is asked first by the kernel."""
    limit = _setting(root, "user/max_user_namespaces")
    container = _container(root)
    possible = (
        (
            errno == ENOSYS or not os.path.exists(os.path.join(root, "proc/self/ns/user")),
            "its kernel was built without user namespaces",
            "use a kernel with CONFIG_USER_NS=y",
        ),
        (limit == 0, "user.max_user_namespaces is 0", _sysctl("user.max_user_namespaces=15000")),
        (
            _setting(root, "kernel/unprivileged_userns_clone") == 0,
            "kernel.unprivileged_userns_clone is 0",
            _sysctl("kernel.unprivileged_userns_clone=1"),
        ),
        (
            bool(container) and _filtered(root),
            f"it is a {container} whose system-call filter forbids it",
            _CONTAINER_HINTS.get(container, ""),
        ),
        (
            _setting(root, "kernel/apparmor_restrict_unprivileged_userns") == 1,
            "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
            _sysctl("kernel.apparmor_restrict_unprivileged_userns=0"),
        ),
        (bool(container), f"it is a {container} that forbids it", _CONTAINER_HINTS.get(container, "")),
        (errno == EUSERS, "user namespaces are nested too deeply", "run envbox outside of other sandboxes"),
        (
            errno == ENOSPC,
            f"all {limit} user namespaces are in use",
            _sysctl("user.max_user_namespaces=60000"),
        ),
        (errno == EINVAL, "its kernel is too old", "use Linux 5.11 or newer"),
    )
    for holds, reason, hint in possible:
        if holds:
            return reason, hint
    return "a security policy forbids it", "see which one: `unshare --user --mount true; sudo dmesg | tail`"


def _sysctl(setting: str) -> str:
    return f"sudo sysctl -w {setting}  (to keep it: echo '{setting}' | sudo tee /etc/sysctl.d/99-envbox.conf)"


def _setting(root: str, name: str) -> int | None:
    text = _read(root, f"proc/sys/{name}").strip()
    return int(text) if text.isdecimal() else None


def _read(root: str, name: str) -> str:
    try:
        with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _container(root: str) -> str:
    """What kind this host is, empty if it is none."""
    if os.path.exists(os.path.join(root, ".dockerenv")):
        return "docker container"
    if os.path.exists(os.path.join(root, "run/.containerenv")):
        return "podman container"
    control_groups = _read(root, "proc/1/cgroup")
    known = ("kubepods", "docker", "lxc", "containerd", "libpod")
    return "container" if any(word in control_groups for word in known) else ""


def _filtered(root: str) -> bool:
    return any(line.split() == ["Seccomp:", "2"] for line in _read(root, "proc/self/status").splitlines())


def filesystem_of(path: str, root: str = "/") -> FileSystem:
    """The file system that `path`, or its nearest parent that exists, is on."""
    place = os.path.realpath(path)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    found = FileSystem("unknown", 0, "/")
    for line in _read(root, "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        point = _unescape(before.split()[4])
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found.mount_point):  # a later mount at the same point hides an earlier one
            found = FileSystem(after.split()[0], 0, point)
    statistics = os.statvfs(place)
    return found._replace(free=statistics.f_bavail * statistics.f_frsize)


def _unescape(text: str) -> str:
    """As mountinfo writes blanks: three octal digits after a backslash."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def check_store_filesystem(path: str, root: str = "/") -> FileSystem:
    """Raises StoreFailed if a store at the folder `path`, which exists, could not work there."""
    found = filesystem_of(path, root)
    if found.kind in _NETWORKED:
        raise StoreFailed(f"the store {path} is on a network file system ({found.kind})", hint=_STORE_HINT)
    if found.kind in _WITHOUT_MODES:
        raise StoreFailed(f"the store {path} is on {found.kind}, which has no Unix modes", hint=_STORE_HINT)
    if found.kind in {"overlay", "aufs"}:
        raise StoreFailed(
            f"the store {path} is on the {found.kind} of a container, on which no other can be stacked",
            hint="mount a volume into the container and point ENVBOX_STORE at it",
        )
    _try_attributes(path, found.kind)
    return found


def _try_attributes(path: str, kind: str) -> None:
    try:
        # Without a name, so that neither another envbox nor the next one after a crash finds it in the store.
        with tempfile.TemporaryFile(dir=path, prefix=".envbox-probe-") as file:
            try:
                os.setxattr(file.fileno(), "user.envbox", b"1")
            except OSError as error:
                raise StoreFailed(
                    f"the store {path} is on {kind}, which has no user attributes ({error.strerror})",
                    hint=_STORE_HINT,
                ) from error
    except OSError as error:
        raise StoreFailed(f"cannot write in the store {path}: {error.strerror}", hint=_STORE_HINT) from error
