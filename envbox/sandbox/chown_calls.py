"""What an intercepted chown is about: its arguments, and the file that the caller's own lookup finds."""

from __future__ import annotations

import errno
import os

_FROM_HERE, _NOFOLLOW, _EMPTY_PATH = -100, 0x100, 0x1000  # AT_ of linux/fcntl.h
_PAGE, _LONGEST_PATH = 4096, 4096
_PATH_ONLY = os.O_PATH | os.O_CLOEXEC
# Links that mean the process that follows them.
_OWN = (
    (b"/proc/self/", b"/proc/%d/"),
    (b"/proc/thread-self/", b"/proc/%d/"),
    (b"/dev/fd/", b"/proc/%d/fd/"),
    (b"/dev/stdin", b"/proc/%d/fd/0"),
    (b"/dev/stdout", b"/proc/%d/fd/1"),
    (b"/dev/stderr", b"/proc/%d/fd/2"),
)


class ChownCall:
    """One of the four calls, reduced to fchownat's terms."""

    __slots__ = ("address", "flags", "folder", "gid", "process", "uid")

    def __init__(self, name: str, process: int, arguments: tuple[int, ...]) -> None:
        first, second, third, fourth, fifth = arguments[:5]
        self.process = process
        self.folder, self.address, self.flags = _FROM_HERE, first, 0
        self.uid, self.gid = _identity(second), _identity(third)
        if name == "fchownat":
            self.folder, self.address, self.flags = _signed(first), second, fifth & 0xFFFFFFFF
            self.uid, self.gid = _identity(third), _identity(fourth)
        elif name == "fchown":
            self.folder, self.address, self.flags = _signed(first), 0, _EMPTY_PATH
        elif name == "lchown":
            self.flags = _NOFOLLOW


def _signed(value: int) -> int:
    """The low half of a register as the C int that the kernel takes it for."""
    low = value & 0xFFFFFFFF
    return low - 0x100000000 if low & 0x80000000 else low


def _identity(value: int) -> int:
    """An id, or -1 for the one that means to keep the old."""
    low = value & 0xFFFFFFFF
    return -1 if low == 0xFFFFFFFF else low


class Lookup:
    """Opens what calls are about, from a process with the callers' mount namespace and usual root."""

    def __init__(self) -> None:
        self._root = os.open("/", _PATH_ONLY | os.O_DIRECTORY)
        self._processes = os.open("/proc", _PATH_ONLY | os.O_DIRECTORY)
        self._root_identity = os.fstat(self._root)
        os.stat("self/fd", dir_fd=self._processes)  # a sandbox without /proc cannot have a fake root

    def open(self, call: ChownCall) -> int:
        """An O_PATH descriptor. Raises the OSError that the call itself would have met."""
        if call.flags & ~(_NOFOLLOW | _EMPTY_PATH):
            raise OSError(errno.EINVAL, "flags")
        path = self._read_path(call.process, call.address) if call.address else b""
        if not path:
            if not call.flags & _EMPTY_PATH:
                raise OSError(errno.ENOENT if call.address else errno.EFAULT, "path")
            return self._open_base(call)
        flags = _PATH_ONLY | (os.O_NOFOLLOW if call.flags & _NOFOLLOW else 0)
        base = None if path.startswith(b"/") else self._open_base(call)
        try:
            root = os.stat(f"{call.process}/root", dir_fd=self._processes)
            if os.path.samestat(root, self._root_identity):
                return os.open(_as_caller(path, call.process), flags, dir_fd=base)
            return self._open_in_other_root(call.process, path, flags, base)
        finally:
            if base is not None:
                os.close(base)

    def _open_base(self, call: ChownCall) -> int:
        """The folder that a relative path starts from; what an empty path means."""
        entry = "cwd" if call.folder == _FROM_HERE else f"fd/{call.folder}"
        try:
            return os.open(f"{call.process}/{entry}", _PATH_ONLY, dir_fd=self._processes)
        except FileNotFoundError as error:
            raise OSError(errno.EBADF, entry) from error

    def _open_in_other_root(self, process: int, path: bytes, flags: int, base: int | None) -> int:
        """For a caller that has changed its root: this process goes there for the one lookup."""
        root = os.open(f"{process}/root", _PATH_ONLY | os.O_DIRECTORY, dir_fd=self._processes)
        try:
            os.fchdir(root)
            os.chroot(".")
            return os.open(path, flags, dir_fd=base)
        finally:
            os.fchdir(self._root)
            os.chroot(".")
            os.close(root)

    def _read_path(self, process: int, address: int) -> bytes:
        memory = os.open(f"{process}/mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._processes)
        data = b""
        try:
            while len(data) < _LONGEST_PATH and b"\0" not in data:
                at = address + len(data)
                data += os.pread(memory, _PAGE - at % _PAGE, at)  # the next page need not be there
        except (OSError, OverflowError) as error:
            raise OSError(errno.EFAULT, "path") from error
        finally:
            os.close(memory)
        path, end, _ = data.partition(b"\0")
        if not end:
            raise OSError(errno.ENAMETOOLONG, "path")
        return path


def _as_caller(path: bytes, process: int) -> bytes:
    for own, other in _OWN:
        if path.startswith(own):
            return other % process + path[len(own) :]
    return path
