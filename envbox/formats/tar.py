"""Tar archives over a buffer: a fast reader of what exists, and the one canonical way to write a header.

Read are ustar, old and GNU archives with their long names, and pax with its extended attributes. Written is
ustar, with a pax header only where ustar cannot say it. Digests rest on what `pack` gives.
"""

from __future__ import annotations

import re
import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from envbox.errors import ArtifactHostile

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
END = bytes(2 * BLOCK)

_FLAGS = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "character": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
}
# Archives older than ustar mark a file by NUL; "7" was a contiguous one, on systems long gone.
_KINDS = {flag: kind for kind, flag in _FLAGS.items()} | {b"\0": "file", b"7": "file"}
_EXTENSIONS = frozenset((b"L", b"K", b"x", b"g"))
_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s64x8s8s155s12x")
_HEADER = struct.Struct("100s48s8sc100s88s167x")
_REST = b"ustar\x0000" + bytes(64) + b"%07o\0%07o\0"
_NO_DEVICE = _REST % (0, 0)
_EMPTY = memoryview(b"")
_XATTR = "SCHILY.xattr."
_SPARSE = "GNU.sparse."
_DECIMAL = re.compile(rb"(-?[0-9]{1,18})(?:\.[0-9]*)?")
_OWNER_END = 8**7  # where the octal digits of ustar end
_SIZE_END = 8**11
_OWNER_LIMIT = 1 << 32
_TIME_LIMIT = 1 << 40
_SIZE_LIMIT = 1 << 62


class Member(NamedTuple):
    """One entry. `kind`: file, directory, symlink, hardlink, character, block or fifo.

    `path` is relative and normalised, "" for the root; so is the `target` of a hardlink, while a symlink's is
    its raw text. Text that is not UTF-8 is kept in surrogate escapes. `mode` has the twelve permission bits.
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    target: str
    data: memoryview
    xattrs: tuple[tuple[str, bytes], ...]
    device: tuple[int, int]


def read(data: bytes | memoryview) -> Iterator[Member]:
    """Every member in order; its content is a view of `data`, not a copy.

    Raises ArtifactHostile naming the member whose path is absolute or has a `..` or a NUL, and where the
    archive is malformed or cut short. Where symlinks lead is for whoever writes them to a disk to judge.
    """
    view = memoryview(data)
    shared: dict[str, bytes] = {}  # from pax global headers
    extra: dict[str, bytes] = {}  # for the next member alone
    offset, path = 0, ""
    while True:
        header = bytes(view[offset : offset + BLOCK])
        if len(header) < BLOCK:
            _refuse(path, "the archive is cut short after it")
        if header[0] == 0 and not any(header):
            if extra:
                _refuse(path, "the archive ends with a header extension that belongs to nothing")
            return
        fields = _FIELDS.unpack(header)
        _verify_checksum(header, fields[6], path)
        offset += BLOCK
        flag = fields[7]
        if flag in _EXTENSIONS:
            content, offset = _content(view, offset, _number(fields[4], path), path)
            _extend(shared if flag == b"g" else extra, flag, bytes(content), path)
            continue
        attributes = {**shared, **extra} if shared else extra
        kind, path = _kind_and_path(fields, attributes, path)
        size = _bounded(attributes, "size", fields[4], _SIZE_LIMIT, path) if kind == "file" else 0
        content, offset = _content(view, offset, size, path) if size else (_EMPTY, offset)
        yield _member(fields, attributes, kind, path, content)
        extra = {}


def _refuse(path: str, reason: str) -> NoReturn:
    where = repr(path) if path else "the beginning"
    raise ArtifactHostile(f"The tar archive is malformed at {where}: {reason}.")


def _verify_checksum(header: bytes, field: bytes, path: str) -> None:
    # The low half of Adler-32 is one more than the sum of all bytes modulo 65521: tar's sum, made in C.
    # Tar counts the field itself as eight spaces.
    try:
        wanted = int(field.replace(b"\0", b" "), 8) - 8 * 0x20 + sum(field)
    except ValueError:
        wanted = -1
    if zlib.adler32(header) & 0xFFFF != (1 + wanted) % 65521:
        _refuse(path, "what follows it has no valid checksum")


def _content(view: memoryview, offset: int, size: int, path: str) -> tuple[memoryview, int]:
    end = offset + size
    if not offset <= end <= len(view):
        _refuse(path, "the archive is cut short inside it")
    return view[offset:end], end + -size % BLOCK


def _number(field: bytes, path: str) -> int:
    try:
        return _parsed(field)
    except ValueError:
        _refuse(path, f"after it stands {field!r} in place of a number")


@lru_cache(4096)  # an archive has few modes, owners and times
def _parsed(field: bytes) -> int:
    if field[0] & 0x80:  # base-256, two's complement below the marking bit
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - ((value >> (bits - 1)) << bits)
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def _extend(extra: dict[str, bytes], flag: bytes, content: bytes, path: str) -> None:
    if flag == b"L":
        extra["path"] = content.rstrip(b"\0")
    elif flag == b"K":
        extra["linkpath"] = content.rstrip(b"\0")
    else:
        extra.update(_records(content, path))


def _records(content: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    offset = 0
    while offset < len(content):
        digits, space, _ = content[offset : offset + 12].partition(b" ")
        end = offset + int(digits) if digits.isdigit() else offset
        keyword, equals, value = content[offset + len(digits) + 1 : end].partition(b"=")
        if not (space and equals and keyword and value.endswith(b"\n")) or end > len(content):
            _refuse(path, "after it stands a malformed pax header")
        yield keyword.decode("utf-8", "surrogateescape"), value[:-1]
        offset = end


def _kind_and_path(fields: tuple[bytes, ...], extra: dict[str, bytes], before: str) -> tuple[str, str]:
    raw = extra.get("path") or fields[0].partition(b"\0")[0]
    prefix = fields[12]
    if prefix[0] and fields[9][:6] == b"ustar\0" and not extra.get("path"):
        raw = prefix.partition(b"\0")[0] + b"/" + raw
    kind = _KINDS.get(fields[7], "")
    if kind == "file" and raw.endswith(b"/"):
        kind = "directory"  # as archives older than ustar spell it
    path = _path(raw, kind, before)
    if not kind:
        _refuse(path, f"it is of kind {fields[7].decode('latin-1')!r}, which is not supported")
    return kind, path


def _member(fields: tuple[bytes, ...], extra: dict[str, bytes], kind: str, path: str, content: memoryview) -> Member:
    _, mode, uid, gid, _, mtime, _, _, link, _, major, minor, _ = fields
    return Member(
        path,
        kind,
        _number(mode, path) & 0o7777,
        _bounded(extra, "uid", uid, _OWNER_LIMIT, path),
        _bounded(extra, "gid", gid, _OWNER_LIMIT, path),
        _bounded(extra, "mtime", mtime, _TIME_LIMIT, path),
        _target(extra.get("linkpath") or link.partition(b"\0")[0], kind, path) if kind.endswith("link") else "",
        content,
        _xattrs(extra, path) if extra else (),
        (_number(major, path), _number(minor, path)) if kind in {"character", "block"} else (0, 0),
    )


def _bounded(extra: dict[str, bytes], keyword: str, field: bytes, limit: int, path: str) -> int:
    if extra and keyword in extra:
        match = _DECIMAL.fullmatch(extra[keyword])
        if not match:
            _refuse(path, f"its {keyword} is {extra[keyword]!r}")
        value = int(match[1])
    else:
        value = _number(field, path)
    if not (0 <= value < limit or (keyword == "mtime" and -limit < value < 0)):
        _refuse(path, f"its {keyword} is {value}")
    return value


def _path(raw: bytes, kind: str, before: str) -> str:
    text = raw.decode("utf-8", "surrogateescape")
    if raw[:1] == b"/":
        _refuse(text, "its path is absolute")
    if b"\0" in raw:
        _refuse(text, "its path has a NUL")
    path = text[2:] if raw[:2] == b"./" else text
    if path[-1:] == "/":
        path = path[:-1]
    # Most paths have no empty component and none that begins with a dot.
    if "//" in path or "/." in path or path[:1] in {".", "/"} or path[-1:] == "/":
        components = [component for component in path.split("/") if component not in {"", "."}]
        if ".." in components:
            _refuse(text, "its path leads outside")
        path = "/".join(components)
    if not path and (kind != "directory" or not raw):
        _refuse(text or before, "it has no path" if text else "what follows it has no path")
    return path


def _target(raw: bytes, kind: str, path: str) -> str:
    if kind == "hardlink":
        try:
            return _path(raw, kind, path)
        except ArtifactHostile as error:
            _refuse(path, f"it is a hard link to {raw.decode('utf-8', 'backslashreplace')!r}. {error.message}")
    if not raw or b"\0" in raw:
        _refuse(path, "it is a symbolic link to nothing")
    return raw.decode("utf-8", "surrogateescape")


def _xattrs(extra: dict[str, bytes], path: str) -> tuple[tuple[str, bytes], ...]:
    if any(keyword.startswith(_SPARSE) for keyword in extra):
        _refuse(path, "it is a sparse file, which is not supported")
    found = {keyword[len(_XATTR) :]: value for keyword, value in extra.items() if keyword.startswith(_XATTR)}
    # GNU tar escapes the two characters that the format cannot hold.
    return tuple(sorted((name.replace("%3D", "=").replace("%25", "%"), value) for name, value in found.items()))


def padding(size: int) -> bytes:
    """What follows `size` bytes of content."""
    return bytes(-size % BLOCK)


def pack(member: Member, size: int) -> bytes:
    """The canonical header of `member` with `size` bytes of content: a pure function of its arguments.

    ustar with numeric owners, after a pax header if ustar cannot hold a value. `member.data` is unused.
    """
    path = member.path.encode("utf-8", "surrogateescape")
    if member.kind == "directory":
        path = path + b"/" if path else b"./"
    target = member.target.encode("utf-8", "surrogateescape")
    numbers: tuple[int, ...] = (member.uid, member.gid, size, member.mtime)
    records: dict[bytes, bytes] = {}
    if not (len(path) <= 100 and path.isascii()):
        records[b"path"] = path
    if target and not (len(target) <= 100 and target.isascii()):
        records[b"linkpath"] = target
    if min(numbers) < 0 or max(numbers[:2]) >= _OWNER_END or max(numbers[2:]) >= _SIZE_END:
        numbers = _representable(numbers, records)
    for name, content in member.xattrs:
        escaped = _XATTR + name.replace("%", "%25").replace("=", "%3D")
        records[escaped.encode("utf-8", "surrogateescape")] = content
    header = _ustar(path, _FLAGS[member.kind], (member.mode, *numbers), target, member.device)
    return _pax(records) + header if records else header


def _representable(numbers: tuple[int, ...], records: dict[bytes, bytes]) -> tuple[int, ...]:
    """`numbers` with a zero for each that ustar cannot hold, which goes to the pax `records`."""
    kept = []
    for word, value in zip((b"uid", b"gid", b"size", b"mtime"), numbers, strict=True):
        holds = 0 <= value < (_OWNER_END if word[1:] == b"id" else _SIZE_END)
        if not holds:
            records[word] = b"%d" % value
        kept.append(value if holds else 0)
    return tuple(kept)


def _ustar(path: bytes, flag: bytes, numbers: tuple[int, ...], target: bytes, device: tuple[int, int]) -> bytes:
    plain = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % numbers
    rest = _NO_DEVICE if device == (0, 0) else _REST % device
    header = _HEADER.pack(path, plain, b"        ", flag, target, rest)
    # Adler-32 again: no header adds up to as much as its modulus.
    return b"%b%06o\0 %b" % (header[:148], (zlib.adler32(header) & 0xFFFF) - 1, header[156:])


def _pax(records: dict[bytes, bytes]) -> bytes:
    content = b"".join(_record(keyword, value) for keyword, value in sorted(records.items()))
    header = _ustar(b"./PaxHeaders", b"x", (0o644, 0, 0, len(content), 0), b"", (0, 0))
    return header + content + padding(len(content))


def _record(keyword: bytes, value: bytes) -> bytes:
    # The length counts its own digits.
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, keyword, value)
