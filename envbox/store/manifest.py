"""What a tree holds, entry by entry, and the digest that is its identity.

The digest is the sha256 of the tree's canonical tar, which is also the DiffID of the OCI layer made of it
(OCI image specification, layer.md). It is computed from the manifest, never from the disk's accidents: owners,
clamped times and modes stand in the entries.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from envbox.formats import tar
from envbox.sandbox.owners import ATTRIBUTE
from envbox.store.hashing import HashingThread
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_OPAQUE_ATTRIBUTE = "user.overlay.opaque"
_CAPABILITY = "security.capability"
_BLOCK = 1 << 20
_LINE_END = "\n"
_RESERVED = ".wh."  # OCI image specification, layer.md: such a file says that lower layers' are hidden


class OtherContent(ValueError):
    """What stands at `path` on disk is no file of the size that its entry says."""

    def __init__(self, path: str) -> None:
        super().__init__(f"/{path} is not of the size that the manifest says")
        self.path = path


class Entry(NamedTuple):
    """One path of a tree. `kind`: file, directory, symlink, hardlink, fifo, whiteout or opaque.

    `opaque` is a directory that hides what lower layers have at its path; a whiteout hides one path.
    `target` is a symlink's text or the path a hardlink shares its content with. `digest` is a file's sha256.
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    digest: str = ""
    target: str = ""
    xattrs: tuple[tuple[str, str], ...] = ()

    @property
    def is_directory(self) -> bool:
        """True for both kinds of directories."""
        return self.kind in {"directory", "opaque"}


def dumps(entries: Iterable[Entry]) -> str:
    """One JSON array a line."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    return "".join([f"{encode(entry)}\n" for entry in entries])


def loads(text: str) -> list[Entry]:
    """The inverse of `dumps`."""
    # One document is read ten times as fast as one a line; JSON has no line breaks of its own inside strings.
    rows: list[list[Any]] = json.loads(f"[{text.rstrip().replace(_LINE_END, ',')}]")
    for row in rows:
        row[-1] = tuple((name, value) for name, value in row[-1]) if row[-1] else ()
    return [Entry._make(row) for row in rows]


def read(folder: str) -> list[Entry]:
    """The manifest kept beside the tree in `folder`."""
    with open(os.path.join(folder, "manifest"), encoding="utf-8") as file:
        return loads(file.read())


def write(folder: str, entries: Iterable[Entry]) -> None:
    """Keep the manifest beside the tree in `folder`."""
    with open(os.path.join(folder, "manifest"), "w", encoding="utf-8") as file:
        file.write(dumps(entries))


def is_reserved(path: str) -> bool:
    """True if the canonical tar cannot tell the path from what hides a lower layer's: no layer may have it."""
    return path.rpartition("/")[2].startswith(_RESERVED)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sorted by the bytes of the path: parents before what is in them, the same under every locale."""
    return sorted(entries, key=lambda entry: os.fsencode(entry.path))


def scan(tree: str, owners: Mapping[str, tuple[int, int]]) -> Iterator[Entry]:
    """What is on disk below `tree`, the tree itself first; files come without their digest.

    Owners are those recorded by the build sandbox: in an attribute, or in `owners` for symlinks.
    """
    first_names: dict[tuple[int, int], str] = {}
    for path, status in _walk(tree):
        yield _scanned(tree, path, status, owners, first_names)


def _walk(tree: str) -> Iterator[tuple[str, os.stat_result]]:
    yield "", os.lstat(tree)
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(os.path.join(tree, folder)) as found:
            names = sorted((entry.name for entry in found), key=os.fsencode)
        for name in names:
            path = f"{folder}/{name}" if folder else name
            status = os.lstat(f"{tree}/{path}")
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                pending.append(path)


def _scanned(
    tree: str,
    path: str,
    status: os.stat_result,
    owners: Mapping[str, tuple[int, int]],
    first_names: dict[tuple[int, int], str],
) -> Entry:
    kind, target = _kind_of(status), ""
    xattrs: tuple[tuple[str, str], ...] = ()
    full = f"{tree}/{path}"
    uid, gid = owners.get(path, (0, 0))
    if kind == "symlink":
        target = os.readlink(full)
    elif kind != "whiteout":
        attributes = os.listxattr(full, follow_symlinks=False)
        if ATTRIBUTE in attributes:
            value = os.getxattr(full, ATTRIBUTE)
            try:
                uid, gid = parse_owner(value)
            except ValueError:  # kept as what it is: no manifest and no layer has it
                xattrs = ((ATTRIBUTE, value.hex()),)
        if _CAPABILITY in attributes:
            xattrs += ((_CAPABILITY, _portable_capability(os.getxattr(full, _CAPABILITY)).hex()),)
        if _OPAQUE_ATTRIBUTE in attributes:
            kind = "opaque"
    if kind == "file" and status.st_nlink > 1:
        first = first_names.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            kind, target = "hardlink", first
    mode = 0o777 if kind == "symlink" else stat.S_IMODE(status.st_mode)
    size = status.st_size if kind == "file" else 0
    return Entry(path, kind, mode, uid, gid, int(status.st_mtime), size, "", target, xattrs)


def _kind_of(status: os.stat_result) -> str:
    mode = status.st_mode
    if stat.S_ISCHR(mode) and status.st_rdev == 0:
        return "whiteout"  # overlayfs.rst: a whiteout is a character device 0/0
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}
    return kinds.get(stat.S_IFMT(mode), "socket")


def parse_owner(value: bytes) -> tuple[int, int]:
    """The owner in an attribute's value, `uid:gid`. Raises ValueError."""
    uid, _, gid = value.partition(b":")
    if not (uid.isdigit() and gid.isdigit()):
        raise ValueError(f"{value!r} is no owner")
    return int(uid), int(gid)


def _portable_capability(value: bytes) -> bytes:
    # linux/capability.h: revision 3 carries the user id of a namespace's root, which differs by host; 2 does not.
    magic = struct.unpack_from("<I", value)[0]
    if magic >> 24 == 3:
        return struct.pack("<I", (magic & 0x00FFFFFF) | 0x02000000) + value[4:20]
    return value


def measure(tree: str, entries: Iterable[Entry]) -> tuple[list[Entry], Digest]:
    """Sort, add the digest of every file that has none, and compute the digest of the canonical tar.

    Raises OtherContent: more or less than an entry's size would stand in the tar for other entries.
    """
    complete = []
    with closing(HashingThread()) as whole:
        for entry in canonical(entries):
            whole.update(tar.pack(_member(entry), entry.size if entry.kind == "file" else 0))
            if entry.kind == "file":
                own = None if entry.digest else hashlib.sha256()
                for block in _blocks(tree, entry):
                    whole.update(block)
                    if own:
                        own.update(block)
                whole.update(tar.padding(entry.size))
                complete.append(entry._replace(digest=own.hexdigest()) if own else entry)
                continue
            if entry.kind == "opaque":
                whole.update(tar.pack(_opaque_marker(entry), 0))
            complete.append(entry)
        whole.update(tar.END)
        return complete, Digest(whole.hexdigest())


def _blocks(tree: str, entry: Entry) -> Iterator[bytes]:
    # O_NONBLOCK: to open a pipe would wait for whoever writes it.
    descriptor = os.open(f"{tree}/{entry.path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    left = entry.size
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OtherContent(entry.path)
        while block := os.read(descriptor, _BLOCK):
            left -= len(block)
            if left < 0:
                break
            yield block
            if len(block) < _BLOCK:
                break
    finally:
        os.close(descriptor)
    if left:
        raise OtherContent(entry.path)


def canonical(listed: Iterable[Entry]) -> list[Entry]:
    """In order; of names that share one file the first is the file, whatever the artifact's own order was."""
    entries = in_order(listed)
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind == "hardlink":
            groups.setdefault(entry.target, []).append(entry)
    swapped: dict[str, Entry] = {}
    by_path = {entry.path: entry for entry in entries if entry.path in groups}
    for target, links in groups.items():
        original = by_path[target]
        first, *others = in_order([original, *links])
        swapped[first.path] = original._replace(path=first.path)
        swapped.update((other.path, links[0]._replace(path=other.path, target=first.path)) for other in others)
    return [swapped.get(entry.path, entry) for entry in entries]


def _member(entry: Entry) -> tar.Member:
    path, kind = entry.path, entry.kind
    if kind == "whiteout":
        folder, _, name = path.rpartition("/")
        path, kind = (f"{folder}/{_RESERVED}{name}" if folder else f"{_RESERVED}{name}"), "file"
    elif kind == "opaque":
        kind = "directory"
    xattrs = tuple((name, bytes.fromhex(value)) for name, value in entry.xattrs)
    return tar.Member(
        path,
        kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime,
        entry.target,
        memoryview(b""),
        xattrs,
        (0, 0),
    )


def _opaque_marker(entry: Entry) -> tar.Member:
    path = f"{entry.path}/.wh..wh..opq" if entry.path else ".wh..wh..opq"
    return tar.Member(path, "file", 0o644, 0, 0, 0, "", memoryview(b""), (), (0, 0))
