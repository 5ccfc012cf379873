"""Calling the C library through `_ctypes`, the C module beneath ctypes, which itself takes 2 ms to import.

Arguments are bytes (a `char *`), None, a Buffer, or integers, which are passed as wide as a register.
"""

from __future__ import annotations

import _ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Argument: TypeAlias = "int | bytes | Buffer | None"

_BUFFER_SIZE = 4096


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001 - what ctypes.c_int is made of
    _type_ = "i"


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001
    _type_ = "l"


class _Char(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001
    _type_ = "c"


class Buffer(_ctypes.Array):  # type: ignore[type-arg]
    """Zeroed memory that a call may write to."""

    _type_ = _Char
    _length_ = _BUFFER_SIZE


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Int


class _LongFunction(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Long


_POINTER = _ctypes.sizeof(_Long)
_library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
_fill = _LongFunction(_ctypes.dlsym(_library, "memset"))
_copy = _LongFunction(_ctypes.dlsym(_library, "memcpy"))
_system_call = _LongFunction(_ctypes.dlsym(_library, "syscall"))


def call(name: str, *arguments: Argument) -> int:
    """The result of a function that returns an int; -1 becomes an OSError."""
    return _checked(_Function(_ctypes.dlsym(_library, name)), arguments)


def system_call(number: int, *arguments: Argument) -> int:
    """syscall(2), in the same way."""
    return _checked(_system_call, (number, *arguments))


def _checked(function: _ctypes.CFuncPtr, arguments: tuple[Argument, ...]) -> int:
    result: int = function(*[_Long(value) if isinstance(value, int) else value for value in arguments])
    if result == -1:
        number = _ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def buffer_of(data: bytes) -> Buffer:
    """A buffer that starts with `data`."""
    return _fill_in(Buffer(), data)


def counted(data: bytes, unit: int) -> Buffer:
    """A C structure of a short and a pointer: how many units of `data` there are, and where."""
    buffer = Buffer()
    head = (len(data) // unit).to_bytes(2, sys.byteorder).ljust(_POINTER, b"\0")
    where = _ctypes.addressof(buffer) + 2 * _POINTER
    return _fill_in(buffer, head + where.to_bytes(_POINTER, sys.byteorder) + data)


def _fill_in(buffer: Buffer, data: bytes) -> Buffer:
    buffer[: len(data)] = data
    return buffer


def clear_memory(start: int, length: int, text: bytes) -> None:
    """Overwrites a stretch of this process's own memory with `text` and zeros."""
    _copy(_Long(start), text, _Long(len(text)))
    _fill(_Long(start + len(text)), _Long(0), _Long(length - len(text)))
