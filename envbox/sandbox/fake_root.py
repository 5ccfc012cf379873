"""The seccomp filter of a build: which calls of a fake root are answered how."""

from __future__ import annotations

import os

from envbox.sandbox.seccomp import (
    AARCH64,
    ERROR,
    NATIVE,
    NOTIFY,
    X86_64,
    for_architectures,
    from_below,
    on_argument,
    on_numbers,
    returns,
)

# asm/unistd_64.h and asm-generic/unistd.h.
_OWNERSHIP = {
    X86_64: {92: "chown", 93: "fchown", 94: "lchown", 260: "fchownat"},
    AARCH64: {54: "fchownat", 55: "fchown"},
}
_STATUS = {
    X86_64: {4: "stat", 5: "fstat", 6: "lstat", 262: "newfstatat", 332: "statx"},
    AARCH64: {79: "newfstatat", 80: "fstat", 291: "statx"},
}
_KERNEL = {X86_64: {63: "uname"}, AARCH64: {160: "uname"}}
_ATTRIBUTES = {
    X86_64: {188: "setxattr", 189: "lsetxattr", 190: "fsetxattr"},
    AARCH64: {5: "setxattr", 6: "lsetxattr", 7: "fsetxattr"},
}
# What may give a process another program or another root.
_CHANGES = {
    X86_64: {59: "execve", 322: "execveat", 161: "chroot"},
    AARCH64: {221: "execve", 281: "execveat", 51: "chroot"},
}
# setuid setgid setreuid setregid setgroups setresuid setresgid setfsuid setfsgid: all ids are this one.
_IDENTITY = {
    X86_64: (105, 106, 113, 114, 116, 117, 119, 122, 123),
    AARCH64: (146, 144, 145, 143, 159, 147, 149, 151, 152),
}
# fsync fdatasync sync syncfs sync_file_range: the store makes a finished layer durable, at once.
_DURABILITY = {X86_64: (74, 75, 162, 306, 277), AARCH64: (82, 83, 81, 267, 84)}
# The call, and the argument that holds the mode.
_DEVICES = {X86_64: ((133, 1), (259, 2)), AARCH64: ((33, 2),)}
_TYPE, _CHARACTER, _BLOCK = 0o170000, 0o020000, 0o060000


def _machine() -> str:
    return os.uname().machine


def supported() -> bool:
    """Whether this machine's system calls are known."""
    return _machine() in NATIVE


def calls() -> dict[int, str]:
    """Number -> name of the calls that are asked about."""
    architecture = NATIVE[_machine()]
    return {
        **_OWNERSHIP[architecture],
        **_STATUS[architecture],
        **_CHANGES[architecture],
        **_KERNEL[architecture],
        **_ATTRIBUTES[architecture],
    }


def program(first_unwatched: int) -> bytes:
    """The filter: ownership and the kernel's name are asked about, identity, durability and devices do nothing.

    Nobody is asked about the owner that a file is said to have from the address `first_unwatched` on, if not 0.
    """
    architecture = NATIVE[_machine()]
    asked = (*_OWNERSHIP[architecture], *_CHANGES[architecture], *_KERNEL[architecture], *_ATTRIBUTES[architecture])
    rows = on_numbers(asked, returns(NOTIFY))
    rows += on_numbers(tuple(_STATUS[architecture]), from_below(first_unwatched, NOTIFY))
    rows += on_numbers(_IDENTITY[architecture] + _DURABILITY[architecture], returns(ERROR))
    for number, argument in _DEVICES[architecture]:
        rows += on_numbers((number,), on_argument(argument, (_CHARACTER, _BLOCK), ERROR, mask=_TYPE))
    return for_architectures([(architecture, rows)])
