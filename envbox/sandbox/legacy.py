"""Mounting by mount(2), for kernels and filters without the new mount API (complete since 6.8)."""

from __future__ import annotations

import errno
import os

from envbox.sandbox.syscalls import (
    ATTRIBUTE_NODEV,
    ATTRIBUTE_NOEXEC,
    ATTRIBUTE_NOSUID,
    ATTRIBUTE_READ_ONLY,
    MS_BIND,
    MS_RECURSIVE,
    MS_REMOUNT,
    mount,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbox.sandbox.targets import Target

# The attributes above have the same values as MS_RDONLY, MS_NOSUID, MS_NODEV and MS_NOEXEC.
_KEPT = {
    "ro": ATTRIBUTE_READ_ONLY,
    "nosuid": ATTRIBUTE_NOSUID,
    "nodev": ATTRIBUTE_NODEV,
    "noexec": ATTRIBUTE_NOEXEC,
    "noatime": 0x400,
    "nodiratime": 0x800,
    "relatime": 0x200000,
}
_OPTIONS_LIMIT = 4095  # mount(2) cuts longer ones off without a word


def bind(source: int, place: Target, attributes: int) -> None:
    """Mounts what `source` is a descriptor of, with all below it, on `place`."""
    mount(_path(source), _path(place.descriptor), None, MS_BIND | MS_RECURSIVE, None)
    _remount(os.fsdecode(os.readlink(_path(place.reopen()))), attributes)


def mount_filesystem(kind: str, options: list[tuple[str, str]], place: Target, attributes: int) -> int:
    """Mounts a fresh file system on `place` and returns a descriptor of it."""
    text = ",".join(f"{name}={value}" if value else name for name, value in options)
    mount(kind.encode(), _path(place.descriptor), kind.encode(), attributes, text.encode())
    return place.reopen()


def overlay(layers: list[int], writable: tuple[int, int] | None, root: str) -> None:
    """Mounts the layers on `root`; their names in the one page of options are descriptor numbers."""
    options = "userxattr"
    if writable is not None:
        options += f",upperdir={writable[0]},workdir={writable[1]}"
    options += ",lowerdir=" + ":".join(str(layer) for layer in reversed(layers))
    if len(options) > _OPTIONS_LIMIT:
        raise OSError(errno.E2BIG, f"{len(layers)} layers are too many for this kernel")
    here = os.open(".", os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    os.chdir("/proc/self/fd")
    try:
        mount(b"overlay", os.fsencode(root), b"overlay", ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV, options.encode())
    finally:
        os.fchdir(here)
        os.close(here)


def bind_root(layer: int, root: str) -> None:
    """Mounts a single layer on `root`, read-only."""
    mount(_path(layer), os.fsencode(root), None, MS_BIND, None)
    flags = ATTRIBUTE_READ_ONLY | ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV | _flags_of(os.path.realpath(root))
    mount(None, os.fsencode(root), None, MS_BIND | MS_REMOUNT | flags, None)


def _remount(path: str, attributes: int) -> None:
    """Adds attributes to the mount at `path` and to every one below it."""
    for point, flags in _mounts():
        if point == path or point.startswith(path.rstrip("/") + "/"):
            mount(None, os.fsencode(point), None, MS_BIND | MS_REMOUNT | attributes | flags, None)


def _flags_of(path: str) -> int:
    return next((flags for point, flags in reversed(_mounts()) if point == path), 0)


def _mounts() -> list[tuple[str, int]]:
    """Every mount point with the flags it has now, which a remount must repeat."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            fields = line.split(" ", 6)
            flags = 0
            for option in fields[5].split(","):
                flags |= _KEPT.get(option, 0)
            found.append((_unescape(fields[4]), flags))
    return found


def _unescape(text: str) -> str:
    """Undoes the octal escapes of the mount table."""
    head, *rest = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _path(descriptor: int) -> bytes:
    return b"/proc/self/fd/%d" % descriptor
