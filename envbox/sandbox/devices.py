"""The file systems every session needs: /proc, /dev, /sys and empty ones."""

from __future__ import annotations

import errno
import os

from envbox.sandbox.attach import bind, mount_filesystem
from envbox.sandbox.syscalls import (
    ATTRIBUTE_NODEV,
    ATTRIBUTE_NOEXEC,
    ATTRIBUTE_NOSUID,
    ATTRIBUTE_READ_ONLY,
)
from envbox.sandbox.targets import Target

_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
# What a process could change the host through.
_COVERED = ("sys", "sysrq-trigger", "irq", "bus", "fs", "scsi", "acpi", "driver", "dynamic_debug")
_SETTING = "sys/kernel/panic"  # writable for the host's root alone; on every kernel
_PATH_ONLY = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
_TYPE, _CHARACTER_DEVICE = 0o170000, 0o020000


def mount_tmpfs(place: Target, mode: int, attributes: int) -> int:
    """An empty folder in memory; returns a descriptor of it."""
    return mount_filesystem("tmpfs", [("mode", f"{mode:o}")], place, attributes)


def mount_processes(place: Target) -> None:
    """A fresh /proc of this process namespace, read-only where the caller could change the host through it.

    Only the host's root could. For others a cover would do nothing but forbid sandboxes inside this one: the
    kernel mounts no fresh /proc where a part of the one at hand is covered.
    """
    attributes = ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | ATTRIBUTE_NOEXEC
    processes = mount_filesystem("proc", [], place, attributes)
    if not os.access(_SETTING, os.W_OK, dir_fd=processes):
        return
    for name in _COVERED:
        try:
            covered = os.open(name, _PATH_ONLY, dir_fd=processes)
        except FileNotFoundError:
            continue
        bind(covered, Target(processes, name, covered), attributes | ATTRIBUTE_READ_ONLY)


def mount_devices(place: Target) -> None:
    """A /dev with the harmless devices, private pseudo-terminals, shared memory, and the caller's own terminal."""
    folder = mount_tmpfs(place, 0o755, ATTRIBUTE_NOSUID | ATTRIBUTE_NOEXEC)
    for name in _NODES:
        _mount_node(folder, name, f"/dev/{name}")
    terminal = _terminal()
    if terminal:
        _mount_node(folder, "console", terminal)  # /dev/pts is a new one: here ttyname(3) finds the caller's terminal
    for name, text in _LINKS:
        os.symlink(text, name, dir_fd=folder)
    options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "620")]
    mount_filesystem("devpts", options, _new_folder(folder, "pts"), ATTRIBUTE_NOSUID | ATTRIBUTE_NOEXEC)
    shared = _new_folder(folder, "shm")
    mount_tmpfs(shared, 0o1777, ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | ATTRIBUTE_NOEXEC)


def _mount_node(folder: int, name: str, device: str) -> None:
    source = os.open(device, _PATH_ONLY)
    if (os.fstat(source).st_mode & _TYPE) != _CHARACTER_DEVICE:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), device)
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=folder))
    node = Target(folder, name, os.open(name, _PATH_ONLY, dir_fd=folder))
    bind(source, node, ATTRIBUTE_NOSUID | ATTRIBUTE_NOEXEC)


def _terminal() -> str:
    """The terminal that the command is given, if it can be reached by a name."""
    for descriptor in (0, 1, 2):
        if os.isatty(descriptor):
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            return path if path.startswith("/dev/pts/") and os.path.exists(path) else ""
    return ""


def mount_system(place: Target) -> None:
    """The host's /sys, read-only all the way down."""
    attributes = ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | ATTRIBUTE_NOEXEC | ATTRIBUTE_READ_ONLY
    bind(os.open("/sys", _PATH_ONLY), place, attributes)


def _new_folder(parent: int, name: str) -> Target:
    os.mkdir(name, 0o755, dir_fd=parent)
    return Target(parent, name, os.open(name, _PATH_ONLY, dir_fd=parent))
