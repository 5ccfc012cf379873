"""What a process means by the arguments of an intercepted call: text in its memory, files that its lookup finds."""

from __future__ import annotations

import errno
import os
import sys

FROM_HERE, NOFOLLOW, EMPTY_PATH = -100, 0x100, 0x1000  # AT_ of linux/fcntl.h
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


class FileArgument:
    """How a call names a file, in the terms of the calls that take a folder, a path and flags."""

    __slots__ = ("address", "flags", "folder", "process")

    def __init__(self, process: int, folder: int, address: int, flags: int) -> None:
        self.process = process
        self.folder, self.address, self.flags = signed(folder), address, flags & 0xFFFFFFFF


def signed(value: int) -> int:
    """The low half of a register as the C int that the kernel takes it for."""
    low = value & 0xFFFFFFFF
    return low - 0x100000000 if low & 0x80000000 else low


class Lookup:
    """Opens what calls are about, from a process with the callers' mount namespace and usual root.

    Keeps the memory and the root of the caller it met last until `forget`: every exec and chroot must bring it about.
    """

    def __init__(self) -> None:
        self._root = os.open("/", _PATH_ONLY | os.O_DIRECTORY)
        self._processes = os.open("/proc", _PATH_ONLY | os.O_DIRECTORY)
        self._root_identity = os.fstat(self._root)
        self._caller = self._memory = -1
        self._root_known = False
        self._root_usual = True
        os.stat("self/fd", dir_fd=self._processes)  # a sandbox without /proc cannot have a fake root

    def forget(self) -> None:
        """The caller met last may have another memory and another root from here on."""
        if self._memory >= 0:
            os.close(self._memory)
        self._caller = self._memory = -1
        self._root_known = False

    def status(self, file: FileArgument) -> os.stat_result:
        """What the kernel tells of the file. Raises the OSError that the call itself would have met."""
        path = self._path(file)
        if not path:
            return os.stat(_base(file), dir_fd=self._processes)
        if not self._has_usual_root(file.process) or len(path) > _LONGEST_PATH - 64:
            descriptor = self._open(file, path)
            try:
                return os.fstat(descriptor)
            finally:
                os.close(descriptor)
        follow = not file.flags & NOFOLLOW
        if path.startswith(b"/"):
            return os.stat(_as_caller(path, file.process), follow_symlinks=follow)
        return os.stat(os.fsencode(_base(file)) + b"/" + path, dir_fd=self._processes, follow_symlinks=follow)

    def open(self, file: FileArgument) -> int:
        """An O_PATH descriptor. Raises the OSError that the call itself would have met."""
        return self._open(file, self._path(file))

    def text(self, process: int, address: int) -> bytes:
        """The string at an address of a process's memory, of at most a path's length."""
        self._meet(process)
        data = b""
        while len(data) < _LONGEST_PATH and b"\0" not in data:
            at = address + len(data)
            data += self._read(at, _PAGE - at % _PAGE)  # the next page need not be there
        path, end, _ = data.partition(b"\0")
        if not end:
            raise OSError(errno.ENAMETOOLONG, "path")
        return path

    def words(self, process: int, address: int, count: int) -> list[bytes]:
        """The first strings of a null-terminated array in a process's memory."""
        self._meet(process)
        found: list[bytes] = []
        while len(found) < count:
            pointer = int.from_bytes(self._read(address + 8 * len(found), 8), sys.byteorder)
            if not pointer:
                break
            found.append(self.text(process, pointer))
        return found

    def data(self, process: int, address: int, length: int) -> bytes:
        """What is at an address of a process's memory. Raises OSError (EFAULT)."""
        self._meet(process)
        return self._read(address, length)

    def write(self, process: int, address: int, data: bytes) -> None:
        """Puts data into a process's memory. Raises OSError (EFAULT)."""
        self._meet(process)
        try:
            complete = os.pwrite(self._memory, data, address) == len(data)
        except (OSError, OverflowError):
            complete = False
        if not complete:
            raise OSError(errno.EFAULT, "memory")

    def _read(self, address: int, length: int) -> bytes:
        try:
            data = os.pread(self._memory, length, address)
        except (OSError, OverflowError):
            data = b""
        if not data:
            raise OSError(errno.EFAULT, "memory")
        return data

    def _meet(self, process: int) -> None:
        if process == self._caller:
            return
        self.forget()
        self._memory = os.open(f"{process}/mem", os.O_RDWR | os.O_CLOEXEC, dir_fd=self._processes)
        self._caller = process

    def _has_usual_root(self, process: int) -> bool:
        self._meet(process)
        if not self._root_known:
            root = os.stat(f"{process}/root", dir_fd=self._processes)
            self._root_usual = os.path.samestat(root, self._root_identity)
            self._root_known = True
        return self._root_usual

    def _path(self, file: FileArgument) -> bytes:
        path = self.text(file.process, file.address) if file.address else b""
        if not path and not file.flags & EMPTY_PATH:
            raise OSError(errno.ENOENT if file.address else errno.EFAULT, "path")
        return path

    def _open(self, file: FileArgument, path: bytes) -> int:
        if not path:
            return self._open_base(file)
        flags = _PATH_ONLY | (os.O_NOFOLLOW if file.flags & NOFOLLOW else 0)
        base = None if path.startswith(b"/") else self._open_base(file)
        try:
            if self._has_usual_root(file.process):
                return os.open(_as_caller(path, file.process), flags, dir_fd=base)
            return self._open_in_other_root(file.process, path, flags, base)
        finally:
            if base is not None:
                os.close(base)

    def _open_base(self, file: FileArgument) -> int:
        """The folder that a relative path starts from; what an empty path means."""
        try:
            return os.open(_base(file), _PATH_ONLY, dir_fd=self._processes)
        except FileNotFoundError as error:
            raise OSError(errno.EBADF, _base(file)) from error

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


def _base(file: FileArgument) -> str:
    return f"{file.process}/cwd" if file.folder == FROM_HERE else f"{file.process}/fd/{file.folder}"


def _as_caller(path: bytes, process: int) -> bytes:
    if not path.startswith((b"/proc/", b"/dev/")):
        return path
    for own, other in _OWN:
        if path.startswith(own):
            return other % process + path[len(own) :]
    return path
