"""The Linux calls that Python's os module lacks; each raises OSError. Part of the warm path.

Numbers are those of the kernel's uapi headers: linux/mount.h, linux/prctl.h, linux/sched.h, linux/fcntl.h and
asm/unistd.h. System calls from 424 on have one number on every architecture.
"""

from __future__ import annotations

import errno
import os
import sys

from envbox.sandbox.libc import Buffer, buffer_of, call, clear_memory, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbox.sandbox.libc import Argument

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000

ATTRIBUTE_READ_ONLY, ATTRIBUTE_NOSUID, ATTRIBUTE_NODEV, ATTRIBUTE_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_RECURSIVE, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
MOUNT_DETACH = 2

_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _CLOSE_RANGE, _MOUNT_SETATTR = (
    428, 429, 430, 431, 432, 436, 442,
)  # fmt: skip
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "ppc64le": 271, "s390x": 280}
_CLOEXEC = 0o2000000
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_CLOSE_RANGE_CLOEXEC = 4
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_NAME = 1, 4, 15
_READ_BOUNDING, _DROP_BOUNDING, _SET_NO_NEW_PRIVILEGES, _AMBIENT = 23, 24, 38, 47


def control(option: int, second: Argument = 0, third: Argument = 0) -> int:
    """One of the many settings of this process that Linux has prctl for."""
    return call("prctl", option, second, third, 0, 0)


def unshare(flags: int) -> None:
    """Moves this process, or for NEWPID its children, into new namespaces."""
    call("unshare", flags)


def mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, options: bytes | None) -> None:
    """The older interface: everything in one call, its options in one page."""
    call("mount", source, target, kind, flags, options)


def new_filesystem(kind: str, options: list[tuple[str, str]], attributes: int) -> int:
    """A file system mounted nowhere yet, as a descriptor of its root. An option without a value is a flag."""
    context = system_call(_FSOPEN, kind.encode(), 1)
    try:
        for name, value in options:
            command, text = (1, os.fsencode(value)) if value else (0, None)
            system_call(_FSCONFIG, context, command, name.encode(), text, 0)
        system_call(_FSCONFIG, context, 6, None, None, 0)
        return system_call(_FSMOUNT, context, 1, attributes)
    except OSError as error:
        raise OSError(error.errno, _kernel_says(context) or error.strerror) from error
    finally:
        os.close(context)


def _kernel_says(context: int) -> str:
    """The messages the kernel left in a file system context."""
    lines = []
    try:
        while True:
            lines.append(os.read(context, 1024).decode("utf-8", "replace").strip())
    except OSError:
        return "; ".join(lines)


def clone_tree(descriptor: int, *, recursive: bool) -> int:
    """A detached copy of the mount that `descriptor` stands on, from that point down."""
    flags = 1 | _CLOEXEC | _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    return system_call(_OPEN_TREE, descriptor, b"", flags)


def set_attributes(tree: int, attributes: int, *, recursive: bool) -> None:
    """Adds mount attributes, to the mounts below as well if `recursive`; none is ever taken away."""
    fields = attributes.to_bytes(8, sys.byteorder) + bytes(24)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    system_call(_MOUNT_SETATTR, tree, b"", flags, fields, len(fields))


def attach(tree: int, target: int) -> None:
    """Mounts a detached tree on the file or folder that `target` is a descriptor of."""
    system_call(_MOVE_MOUNT, tree, b"", target, b"", 0x44)


def change_root(descriptor: int) -> None:
    """Makes a mounted folder the root of this mount namespace and lets go of the old root altogether."""
    os.fchdir(descriptor)
    call("pivot_root", b".", b".")
    call("umount2", b".", MOUNT_DETACH)
    os.chdir("/")


def set_hostname(name: str) -> None:
    """Names this UTS namespace."""
    encoded = os.fsencode(name)
    call("sethostname", encoded, len(encoded))


def bring_up_loopback() -> None:
    """Sets the interface `lo` of this network namespace up."""
    channel = call("socket", 2, 2 | _CLOEXEC, 0)
    try:
        request = buffer_of(b"lo")
        call("ioctl", channel, 0x8913, request)
        flags = int.from_bytes(bytes(request)[16:18], sys.byteorder) | 1
        request = buffer_of(b"lo".ljust(16, b"\0") + flags.to_bytes(2, sys.byteorder))
        call("ioctl", channel, 0x8914, request)
    finally:
        os.close(channel)


def new_session_keyring() -> None:
    """Joins a fresh session keyring, so that the caller's is out of reach; kernels without keys have none."""
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        return
    try:
        system_call(number, 1, None)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EDQUOT):  # containers forbid it, too
            raise


def rename_process(name: bytes) -> None:
    """What this process is called by others; its arguments and environment are overwritten."""
    control(_SET_NAME, name)
    status = os.open("/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
    fields = os.read(status, 4096).rpartition(b")")[2].split()
    os.close(status)
    start, end = int(fields[45]), int(fields[48])  # arg_start and env_end of proc(5)
    if 0 < start < end:
        clear_memory(start, end - start, name)


def terminal_modes(descriptor: int) -> Buffer:
    """The modes of a terminal, to be given to `set_terminal_modes`."""
    modes = Buffer()
    call("tcgetattr", descriptor, modes)
    return modes


def set_terminal_modes(descriptor: int, modes: Buffer) -> None:
    """Sets a terminal's modes once its output is written."""
    call("tcsetattr", descriptor, 1, modes)


def signal_when_ready(descriptor: int) -> None:
    """Makes reads of `descriptor` not block, and has this process sent SIGIO when there is something."""
    call("fcntl", descriptor, 8, os.getpid())
    call("fcntl", descriptor, 4, os.O_NONBLOCK | os.O_ASYNC)


def signal_descriptor() -> int:
    """A descriptor that polls as readable while any signal is pending."""
    return call("signalfd", -1, b"\xff" * 128, os.O_CLOEXEC | os.O_NONBLOCK)


def change_owner(descriptor: int, uid: int, gid: int) -> None:
    """Changes the owner of what an O_PATH descriptor stands for."""
    call("fchownat", descriptor, b"", uid, gid, _AT_EMPTY_PATH)


def lock(descriptor: int) -> None:
    """Locks an open file or folder for as long as it is open; BlockingIOError if it is locked already."""
    call("flock", descriptor, 6)


def die_with_parent() -> None:
    """SIGKILL for this process as soon as its parent ends."""
    control(_SET_DEATH_SIGNAL, 9)


def hide_from_tracers() -> None:
    """Keeps this process's memory, environment and descriptors from everything in its own user namespace."""
    control(_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """No exec from here on gains privileges."""
    control(_SET_NO_NEW_PRIVILEGES, 1)


def keep_capabilities(mask: int) -> None:
    """Takes all but these from every capability set, the bounding and ambient ones included, for good."""
    capability = 0
    try:
        while True:
            control(_READ_BOUNDING, capability)
            if not mask >> capability & 1:
                control(_DROP_BOUNDING, capability)
            capability += 1
    except OSError as error:
        if error.errno != errno.EINVAL:  # past the last one that this kernel knows
            raise
    control(_AMBIENT, 4)
    words = [(mask >> shift & 0xFFFFFFFF).to_bytes(4, sys.byteorder) for shift in (0, 32)]
    sets = b"".join(word + word + bytes(4) for word in words)  # effective, permitted, inheritable
    call("capset", (0x20080522).to_bytes(4, sys.byteorder) + bytes(4), sets)


def close_descriptors(keep: tuple[int, ...]) -> None:
    """Closes every descriptor above 2 that is not in `keep`."""
    first = 3
    try:
        for descriptor in sorted(number for number in keep if number > 2):
            if descriptor > first:
                system_call(_CLOSE_RANGE, first, descriptor - 1, 0)
            first = descriptor + 1
        system_call(_CLOSE_RANGE, first, 0xFFFFFFFF, 0)
    except OSError:
        for entry in os.listdir("/proc/self/fd"):
            if int(entry) > 2 and int(entry) not in keep:
                _close_quietly(int(entry))


def _close_quietly(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return
