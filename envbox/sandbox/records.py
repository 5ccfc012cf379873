"""Who owns what in a build: the owner meant by a chown, kept beside the one that the kernel knows."""

from __future__ import annotations

import errno
import os
import stat

from envbox.sandbox.owners import ATTRIBUTE, format_owner, parse_owners
from envbox.sandbox.syscalls import change_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = (0, 0)
_MOST_PLAIN = 50_000
_CAPABILITY = "security.capability"


class Records:
    """Owners in the extended attribute of files and folders, in memory for what cannot hold one."""

    def __init__(self) -> None:
        # By device and inode: the owner, and a descriptor that keeps the inode's number from being reused.
        self._remembered: dict[tuple[int, int], tuple[tuple[int, int], int]] = {}
        # Files seen without any owner recorded, by device and inode: the time of the last change to that.
        self._plain: dict[tuple[int, int], int] = {}

    def recall(self, data: bytes) -> None:
        """Takes in what `write` wrote at the end of an earlier command on the same root."""
        for path, owner in parse_owners(data).items():
            try:
                descriptor = os.open(f"/{path}", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                continue  # gone since
            now = os.fstat(descriptor)
            self._remembered[now.st_dev, now.st_ino] = (owner, descriptor)

    def is_plain(self, now: os.stat_result) -> bool:
        """Whether a file is known to have no owner but root."""
        return self._plain.get((now.st_dev, now.st_ino)) == now.st_ctime_ns

    def owner(self, descriptor: int) -> tuple[int, int]:
        """The owner of what the O_PATH `descriptor` stands for."""
        now = os.fstat(descriptor)
        owner = self._owner(descriptor, now)
        if owner == ROOT:
            if len(self._plain) > _MOST_PLAIN:
                self._plain.clear()
            self._plain[now.st_dev, now.st_ino] = now.st_ctime_ns
        return owner

    def change(self, descriptor: int, uid: int, gid: int) -> None:
        """Records a chown of what the O_PATH `descriptor` stands for; -1 keeps an id. Raises OSError."""
        now = os.fstat(descriptor)
        if stat.S_ISCHR(now.st_mode) or stat.S_ISBLK(now.st_mode):
            return  # the sandbox's own devices: no layer holds one
        before = self._owner(descriptor, now)
        after = (before[0] if uid == -1 else uid, before[1] if gid == -1 else gid)
        if after == before and not _is_privileged(descriptor, now):
            return  # a real chown would only copy a lower layer's file up
        # The kernel's own part: permission, read-only mounts, set-id bits cleared, the copy up.
        own_uid, own_gid = (-1 if uid == -1 else 0), (-1 if gid == -1 else 0)
        change_owner(descriptor, own_uid, own_gid)
        if after != before:
            self._store(descriptor, after)

    def write(self, file: int, upper: int) -> None:
        """Writes the owners of what in the folder `upper` cannot hold the attribute and still exists."""
        lines = []
        if self._remembered:
            for path in _entries(upper, b""):
                found = os.stat(b"/" + path, follow_symlinks=False)
                remembered = self._remembered.get((found.st_dev, found.st_ino))
                if remembered:
                    lines.append(format_owner(path, *remembered[0]))
        lines.sort(key=lambda line: line.partition(b" ")[2])
        os.ftruncate(file, 0)
        with open(file, "r+b", closefd=False) as stream:
            stream.seek(0)
            stream.write(b"".join(lines))

    def _owner(self, descriptor: int, now: os.stat_result) -> tuple[int, int]:
        if stat.S_ISREG(now.st_mode) or stat.S_ISDIR(now.st_mode):
            try:
                uid, _, gid = os.getxattr(f"/proc/self/fd/{descriptor}", ATTRIBUTE).partition(b":")
                return int(uid), int(gid)
            except (OSError, ValueError):
                pass  # none recorded there
        remembered = self._remembered.get((now.st_dev, now.st_ino))
        return remembered[0] if remembered else ROOT

    def _store(self, descriptor: int, owner: tuple[int, int]) -> None:
        now = os.fstat(descriptor)
        self._plain.pop((now.st_dev, now.st_ino), None)
        link = f"/proc/self/fd/{descriptor}"
        if stat.S_ISREG(now.st_mode) or stat.S_ISDIR(now.st_mode):
            try:
                if owner == ROOT:
                    os.removexattr(link, ATTRIBUTE)
                else:
                    os.setxattr(link, ATTRIBUTE, b"%d:%d" % owner)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENODATA):
                    raise
            else:
                return
        self._remember((now.st_dev, now.st_ino), owner, descriptor)

    def _remember(self, key: tuple[int, int], owner: tuple[int, int], descriptor: int) -> None:
        _, pin = self._remembered.pop(key, (owner, -1))
        if owner == ROOT:
            if pin >= 0:
                os.close(pin)
            return
        if pin < 0:
            try:
                pin = os.dup(descriptor)
            except OSError:
                pin = -1  # out of descriptors: rely on the number
        self._remembered[key] = (owner, pin)


def _is_privileged(descriptor: int, now: os.stat_result) -> bool:
    """Whether a chown takes something from a file: set-id bits, capabilities."""
    if not stat.S_ISREG(now.st_mode):
        return False
    return bool(now.st_mode & 0o6000) or _CAPABILITY in os.listxattr(f"/proc/self/fd/{descriptor}")


def _entries(folder: int, prefix: bytes) -> Iterator[bytes]:
    """The path of everything below `folder` that is neither a file nor a folder nor a whiteout."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = os.fsencode(entry.name)
        if entry.is_dir(follow_symlinks=False):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(entry.name, flags, dir_fd=folder)
            try:
                yield from _entries(below, prefix + name + b"/")
            finally:
                os.close(below)
        elif stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) not in (stat.S_IFREG, stat.S_IFCHR):
            yield prefix + name
