"""Finding, or making, the places in a new root that things are mounted on, without ever leaving it."""

from __future__ import annotations

import errno
import os

_PATH_ONLY = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
_TYPE, _FOLDER, _LINK = 0o170000, 0o040000, 0o120000
_MOST_LINKS = 40


class Target:
    """A place inside the new root: a descriptor of it, and its name in the folder that holds it."""

    __slots__ = ("descriptor", "name", "parent")

    def __init__(self, parent: int, name: str, descriptor: int) -> None:
        self.parent = parent
        self.name = name
        self.descriptor = descriptor

    def reopen(self) -> int:
        """A descriptor of what is now mounted at this place."""
        return os.open(self.name, _PATH_ONLY, dir_fd=self.parent)


def open_target(root: int, path: str, *, folder: bool, follow: bool) -> Target:
    """The place `path` in the root that `root` is a descriptor of; what is missing is made.

    Symbolic links are an error (ELOOP) unless `follow`; then they are resolved as a process inside would, so
    that no link and no ".." leads out of the root.
    """
    pending = _parts(path)
    way = [Target(root, "", root)]
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            del way[max(1, len(way) - 1) :]
            continue
        parent = way[-1].descriptor
        want_folder = folder or bool(pending)
        descriptor = _open_or_make(parent, part, folder=want_folder)
        kind = os.fstat(descriptor).st_mode & _TYPE
        if kind != _LINK:
            if (kind == _FOLDER) != want_folder:
                _fail(errno.ENOTDIR if want_folder else errno.EISDIR)
            way.append(Target(parent, part, descriptor))
            continue
        links += 1
        if not follow or links > _MOST_LINKS:
            _fail(errno.ELOOP)
        text = os.readlink("", dir_fd=descriptor)
        if text.startswith("/"):
            del way[1:]
        pending.extend(_parts(text))
    if len(way) == 1:
        _fail(errno.EBUSY)
    return way[-1]


def _parts(path: str) -> list[str]:
    """The components of a path, the first one last."""
    return [part for part in path.split("/")[::-1] if part not in ("", ".")]


def _open_or_make(parent: int, name: str, *, folder: bool) -> int:
    try:
        return os.open(name, _PATH_ONLY, dir_fd=parent)
    except FileNotFoundError:
        if folder:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
        return os.open(name, _PATH_ONLY, dir_fd=parent)


def _fail(number: int) -> None:
    raise OSError(number, os.strerror(number))
