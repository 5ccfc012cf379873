"""Seccomp filters, assembled by hand. Warm path: no struct, no libseccomp.

Numbers: linux/filter.h, linux/seccomp.h, linux/audit.h, asm/unistd.h of each architecture. A filter's first
rows sort by architecture; a process of an architecture that a filter does not know is left alone.
"""

from __future__ import annotations

import errno
import os
import sys

from envbox.sandbox.libc import counted, system_call
from envbox.sandbox.syscalls import control

ALLOW, NOTIFY, ERROR = 0x7FFF0000, 0x7FC00000, 0x00050000  # ERROR + errno; ERROR + 0 is success undone
X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
NATIVE = {"x86_64": X86_64, "aarch64": AARCH64}
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_CALLER, _AT_ARGUMENTS = 0, 4, 8, 16
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_NEW_LISTENER = 8
_UNINTERRUPTED = 0x20  # WAIT_KILLABLE_RECV: else a stat that a signal interrupts could fail, which none expects
_X32 = 0x40000000
_IOCTL = ((X86_64, (16, _X32 + 514)), (I386, (54,)), (AARCH64, (29,)), (ARM, (54,)))
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One row of a filter."""
    return code.to_bytes(2, sys.byteorder) + bytes((if_true, if_false)) + value.to_bytes(4, sys.byteorder)


def returns(action: int) -> bytes:
    """The row that ends a filter with `action`."""
    return instruction(_RETURN, action)


def on_numbers(numbers: tuple[int, ...], action: bytes) -> bytes:
    """Rows that run `action`, which must return, for these system calls."""
    skip = len(action) // 8
    return b"".join(instruction(_EQUAL, number, 0, skip) + action for number in numbers)


def on_argument(index: int, values: tuple[int, ...], action: int, *, mask: int = 0xFFFFFFFF) -> bytes:
    """Rows that return `action` where the low half of an argument is one of `values`, and else allow."""
    rows = [instruction(_LOAD, _AT_ARGUMENTS + 8 * index), instruction(_AND, mask)]
    rows += [instruction(_EQUAL, value, 0, 1) + returns(action) for value in values]
    return b"".join(rows) + returns(ALLOW)


def from_below(address: int, action: int) -> bytes:
    """Rows that return `action` for a call from below an address, of which the high half counts; 0: from anywhere."""
    if not address:
        return returns(action)
    high = instruction(_LOAD, _AT_CALLER + 4)
    return high + instruction(_AT_LEAST, address >> 32, 0, 1) + returns(ALLOW) + returns(action)


def for_architectures(blocks: list[tuple[int, bytes]]) -> bytes:
    """A whole filter: for each architecture the rows that look at the number of the call."""
    program = instruction(_LOAD, _AT_ARCHITECTURE)
    for architecture, rows in blocks:
        block = instruction(_LOAD, _AT_NUMBER) + rows + returns(ALLOW)
        program += instruction(_EQUAL, architecture, 0, len(block) // 8) + block
    return program + returns(ALLOW)


def install(program: bytes) -> None:
    """Puts a filter on this process and all that come from it; needs no_new_privs."""
    control(22, 2, counted(program, 8))


def install_with_listener(program: bytes) -> int:
    """As `install`; the descriptor returned is where NOTIFY calls are answered."""
    number = _SECCOMP[os.uname().machine]
    try:
        return system_call(number, 1, _NEW_LISTENER | _UNINTERRUPTED, counted(program, 8))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return system_call(number, 1, _NEW_LISTENER, counted(program, 8))  # Linux before 5.19


def terminal_program() -> bytes:
    """Refuses TIOCSTI and TIOCLINUX, by which a command could type into the shell it was started from."""
    refuse = on_argument(1, (_TIOCSTI, _TIOCLINUX), ERROR + errno.EPERM)
    return for_architectures([(architecture, on_numbers(ioctl, refuse)) for architecture, ioctl in _IOCTL])


def protect_terminal() -> None:
    """Puts `terminal_program` on this process. The machines it knows are little-endian ones."""
    if sys.byteorder == "little":
        install(terminal_program())
