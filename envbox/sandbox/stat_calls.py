"""The calls that tell an owner, reduced to newfstatat's and statx's terms, and the answer to them."""

from __future__ import annotations

import os
import struct

from envbox.sandbox.callers import EMPTY_PATH, FROM_HERE, NOFOLLOW, FileArgument
from envbox.sandbox.libc import Buffer, system_call

# asm/stat.h and linux/stat.h: the call that fills in the structure, its size, where its two ids start.
_FORMS = {
    "x86_64": {"stat": (262, 144, 28), "statx": (332, 256, 20)},
    "aarch64": {"stat": (79, 128, 24), "statx": (291, 256, 20)},
}
_WITHOUT_EFFECT_HERE = 0x6800  # AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE


class StatCall(FileArgument):
    """One of the five calls: the file, and where its caller wants to be told about it."""

    __slots__ = ("buffer", "form", "mask")

    def __init__(self, name: str, process: int, arguments: tuple[int, ...]) -> None:
        first, second, third, fourth, fifth = arguments[:5]
        self.form, self.buffer, self.mask = "stat", second, 0
        if name == "newfstatat":
            super().__init__(process, first, second, fourth)
            self.buffer = third
        elif name == "statx":
            super().__init__(process, first, second, third)
            self.form, self.buffer, self.mask = "statx", fifth, fourth & 0xFFFFFFFF
        elif name == "fstat":
            super().__init__(process, first, 0, EMPTY_PATH)
        else:
            super().__init__(process, FROM_HERE, first, NOFOLLOW if name == "lstat" else 0)

    @property
    def is_usual(self) -> bool:
        """Whether its flags are known; else the kernel knows best."""
        return not self.flags & ~(NOFOLLOW | EMPTY_PATH | _WITHOUT_EFFECT_HERE)


def answer(call: StatCall, descriptor: int, owner: tuple[int, int]) -> bytes:
    """What the caller is told of the file that the O_PATH `descriptor` stands for. Raises OSError."""
    number, size, at = _FORMS[os.uname().machine][call.form]
    buffer = Buffer()
    if call.form == "statx":
        system_call(number, descriptor, b"", EMPTY_PATH, call.mask, buffer)
    else:
        system_call(number, descriptor, b"", buffer, EMPTY_PATH)
    told = bytearray(bytes(buffer)[:size])
    struct.pack_into("=II", told, at, *owner)
    return bytes(told)
