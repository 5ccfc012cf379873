"""Layers of another store on this host, whoever may write there: copied, never linked, and measured before they count.

The other store's manifest says how the tree is to be; its files are read for their content alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, Any

from envbox.host import local, reflink
from envbox.host.place import Elsewhere, LocalFile
from envbox.sandbox.owners import ATTRIBUTE as OWNER
from envbox.store import difference, manifest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbox.store.layers import Layers
    from envbox.store.manifest import Entry
    from envbox.values import Digest

_LARGEST_MANIFEST = 1 << 30
_KINDS = frozenset({"file", "directory", "symlink", "hardlink", "fifo", "whiteout", "opaque"})
_OPAQUE = "user.overlay.opaque"
_CAPABILITY = "security.capability"
_MOST_PATHS = 20  # that a refusal names
_LATEST = 1 << 40  # no year that a file system can hold
_OURS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})  # to be told as what they are


class Refused(Exception):
    """The other store has the layer, and it is not the promised one, or cannot be copied here; `lines` tell why."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def adopt(other: str, promised: Digest, layers: Layers, work: str) -> bool:
    """Have the layer `promised` from the store in the folder `other`, if that has it whole. Raises Refused.

    `work` is a folder to be made, on the file system of `layers`.
    """
    source = os.path.join(other, "layers-v1", promised.hex)
    if not os.path.lexists(os.path.join(source, "manifest")):
        return False
    expected = _read_manifest(source)
    os.mkdir(work)
    try:
        _copy(expected, os.path.join(source, "tree"), os.path.join(work, "tree"))
        kept = layers.keep(work, expected, promised)
    except (OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno in _OURS:
            raise
        raise Refused(f"it cannot be copied: {error}") from None
    if not kept:
        raise Refused("its files agree with its own manifest, which is not the promised one")
    return True


def _copy(expected: list[Entry], source: str, tree: str) -> None:
    found = [_copied(entry, source, tree) for entry in expected]
    differences = difference.compare(expected, [entry for entry in found if entry])
    if differences:
        raise Refused(*difference.lines(differences, _MOST_PATHS))
    for entry in reversed(expected):
        if entry.is_directory:
            _finish(entry, os.path.join(tree, entry.path), entry.mode | 0o700)


def _read_manifest(source: str) -> list[Entry]:
    try:
        data = local.read(LocalFile(os.path.join(source, "manifest")), _LARGEST_MANIFEST)
        entries = manifest.loads(data.decode("utf-8"))
        _check(entries)
    except (Elsewhere, ValueError, TypeError, IndexError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(f"its manifest cannot be used: {error}") from None
    return entries


def _check(entries: Iterable[Entry]) -> None:
    """Each path is below a folder that comes before it. Raises ValueError."""
    kinds: dict[str, str] = {}
    for entry in entries:
        path = entry.path
        if not _is_sound(entry) or path in kinds:
            raise ValueError(f"{path!r} is not what an entry can be")
        if path and kinds.get(path.rpartition("/")[0]) not in {"directory", "opaque"}:
            raise ValueError(f"{path!r} is in no folder")
        if entry.kind == "hardlink" and kinds.get(entry.target) != "file":
            raise ValueError(f"{path!r} is a link to no file")
        kinds[path] = entry.kind
    if kinds.get("") not in {"directory", "opaque"}:
        raise ValueError("it has no root")


def _is_sound(entry: Entry) -> bool:
    path, numbers = entry.path, (entry.mode, entry.uid, entry.gid, entry.mtime, entry.size)
    texts: tuple[Any, ...] = (path, entry.kind, entry.digest, entry.target)
    if not all(type(text) is str and "\0" not in text for text in texts):
        return False
    if not all(type(number) is int and 0 <= number < _LATEST for number in numbers) or entry.mode > 0o7777:
        return False
    if manifest.is_reserved(path) or (path and any(part in {"", ".", ".."} for part in path.split("/"))):
        return False
    return entry.kind in _KINDS and all(name == _CAPABILITY and bytes.fromhex(value) for name, value in entry.xattrs)


def _copied(entry: Entry, source: str, tree: str) -> Entry | None:
    """Make what `entry` says; returns what was found instead, None: nothing."""
    path = os.path.join(tree, entry.path) if entry.path else tree
    if entry.kind == "file":
        return _copy_file(entry, os.path.join(source, entry.path), path)
    if entry.is_directory:
        os.mkdir(path, 0o700)
    elif entry.kind == "symlink":
        os.symlink(entry.target, path)
        os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)
    elif entry.kind == "hardlink":
        target = os.path.join(tree, entry.target)
        if os.path.lexists(target):  # not so if it was missing, which is told already
            os.link(target, path, follow_symlinks=False)
    elif entry.kind == "fifo":
        os.mkfifo(path)
        _finish(entry, path, entry.mode)
    else:
        os.mknod(path, 0o020000, 0)  # overlayfs.rst: a whiteout is a character device 0/0
        os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)
    return entry


def _copy_file(entry: Entry, source: str, path: str) -> Entry | None:
    content, size = hashlib.sha256(), 0
    try:
        with local.opened(source) as descriptor, open(path, "x+b") as file:
            cloned = reflink.clone(descriptor, file.fileno())
            # A clone is ours: nobody changes it once it is read. One byte more than promised shows that there is more.
            for block in local.blocks(file.fileno() if cloned else descriptor, entry.size + 1):
                content.update(block)
                size += len(block) if cloned else file.write(block)
    except Elsewhere as failure:
        return None if failure.gone else entry._replace(digest="")
    _finish(entry, path, entry.mode)
    return entry._replace(size=size, digest=content.hexdigest())


def _finish(entry: Entry, path: str, mode: int) -> None:
    """Owner, mode and time, as the build sandbox and the layers' own records have them."""
    try:
        if entry.kind != "fifo" and (entry.uid or entry.gid):
            os.setxattr(path, OWNER, b"%d:%d" % (entry.uid, entry.gid))
        if entry.kind == "opaque":
            os.setxattr(path, _OPAQUE, b"y")
        os.chmod(path, mode)
        for name, value in entry.xattrs:
            os.setxattr(path, name, bytes.fromhex(value))
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise Refused(f"/{entry.path}: only root can give a file capabilities") from None
    os.utime(path, (entry.mtime, entry.mtime))
