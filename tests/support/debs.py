"""Tiny real Debian packages, good and hostile, written without dpkg."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib
import io
import lzma
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TIME = 1_700_000_000  # of every file in every package made here


@dataclass(frozen=True)
class File:
    """A file with more to say than its bytes."""

    data: bytes
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    names: tuple[str, str] = ("root", "root")


@dataclass(frozen=True)
class Folder:
    """A directory that is not plain root's 0755; others are made as needed."""

    mode: int = 0o755
    owner: tuple[int, int] = (0, 0)
    names: tuple[str, str] = ("root", "root")


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True)
class HardLink:
    """Another name of a file of the same package."""

    target: str


Member = tuple[tarfile.TarInfo, bytes]


@dataclass
class DebRecipe:
    """A package. In `files`, bytes and text are plain files, executable if they begin with #!.

    `members` go into the data archive after the files just as they are, for hostile ones. `parts` replaces
    the members of the outer ar, for broken ones: a list of (name, bytes).
    """

    name: str
    version: str = "1.0"
    architecture: str = "all"
    files: Mapping[str, Any] = field(default_factory=dict)
    depends: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    conffiles: Sequence[str] = ()
    triggers: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    members: Sequence[Member] | None = None
    compression: str = "xz"
    parts: Sequence[tuple[str, bytes]] | None = None

    @property
    def filename(self) -> str:
        """As in a pool: no epoch."""
        return f"{self.name}_{self.version.rpartition(':')[2]}_{self.architecture}.deb"

    def build(self) -> bytes:
        """The .deb. The same recipe gives the same bytes."""
        if self.parts is not None:
            return ar(self.parts)
        suffix = "" if self.compression == "none" else f".{self.compression}"
        return ar(
            [
                ("debian-binary", b"2.0\n"),
                (f"control.tar{suffix}", compress(self._control(), self.compression)),
                (f"data.tar{suffix}", compress(self.data(), self.compression)),
            ]
        )

    def data(self) -> bytes:
        """The data archive, not compressed."""
        return tar([*_tree(self.files), *(self.members or ())])

    def _control(self) -> bytes:
        contents = {
            "control": self.stanza(),
            "md5sums": "".join(
                f"{hashlib.md5(_data(entry)).hexdigest()}  {path}\n"
                for path, entry in sorted(self.files.items())
                if isinstance(entry, (bytes, str, File)) and f"/{path}" not in self.conffiles
            ),
            "conffiles": "".join(f"{path}\n" for path in self.conffiles),
            "triggers": self.triggers,
            **self.scripts,
        }
        files = {
            name: File(text.encode(), 0o755 if name in self.scripts else 0o644)
            for name, text in contents.items()
            if text
        }
        return tar(_tree(files))

    def stanza(self) -> str:
        """The control file."""
        size = sum(len(_data(entry)) for entry in self.files.values()) // 1024 + 1
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": "envbox tests <tests@envbox.invalid>",
            "Installed-Size": str(size),
            "Depends": self.depends,
            "Section": "misc",
            "Priority": "optional",
            "Description": f"{self.name}, made for a test",
            **self.fields,
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def _data(entry: Any) -> bytes:
    if isinstance(entry, File):
        return entry.data
    if isinstance(entry, str):
        return entry.encode()
    return entry if isinstance(entry, bytes) else b""


def _tree(files: Mapping[str, Any]) -> list[Member]:
    """As dpkg-deb writes it: ./ first, each directory before what is in it, a file before its other names."""
    entries: dict[str, Any] = {"": Folder()}
    for path, entry in sorted(files.items(), key=lambda item: (isinstance(item[1], HardLink), item[0])):
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts)):
            entries.setdefault("/".join(parts[:depth]), Folder())
        entries["/".join(parts)] = entry
    return [member(f"./{path}", entry) for path, entry in entries.items()]


def member(name: str, entry: Any) -> Member:
    """One tar member, with exactly that name."""
    info = tarfile.TarInfo(name)
    info.mtime = TIME
    info.uname = info.gname = "root"
    if isinstance(entry, Link):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        return info, b""
    if isinstance(entry, HardLink):
        info.type, info.linkname = tarfile.LNKTYPE, entry.target
        return info, b""
    if isinstance(entry, Folder):
        info.type, info.mode = tarfile.DIRTYPE, entry.mode
    data = _data(entry)
    if isinstance(entry, (bytes, str)):
        info.mode = 0o755 if data.startswith(b"#!") else 0o644
    if isinstance(entry, File):
        info.mode = entry.mode
    if isinstance(entry, (File, Folder)):
        (info.uid, info.gid), (info.uname, info.gname) = entry.owner, entry.names
    info.size = len(data)
    return info, data


def device(name: str, major: int, minor: int, mode: int = 0o666) -> Member:
    """A character device, which no package should have."""
    info = tarfile.TarInfo(name)
    info.type, info.devmajor, info.devminor, info.mode = tarfile.CHRTYPE, major, minor, mode
    return info, b""


def tar(members: Sequence[Member]) -> bytes:
    """A GNU tar of them, in this order and unchecked."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            name = info.name
            # TarInfo drops a directory's final slash, which dpkg-deb writes.
            if info.isdir() and not name.endswith("/"):
                info.name += "/"
            archive.addfile(info, io.BytesIO(data))
            info.name = name
    return buffer.getvalue()


def ar(members: Sequence[tuple[str, bytes]]) -> bytes:
    """An ar archive in the flavour of .debs."""
    written = bytearray(b"!<arch>\n")
    for name, data in members:
        written += f"{name:<16}{TIME:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        written += data + b"\n" * (len(data) % 2)
    return bytes(written)


def compress(data: bytes, kind: str) -> bytes:
    """By the suffix that .debs use: xz, gz, bz2, zst, or none."""
    writers: dict[str, Callable[[bytes], bytes]] = {
        "none": bytes,
        "xz": lambda raw: lzma.compress(raw, preset=1),
        "gz": lambda raw: gzip.compress(raw, 6, mtime=0),
        "bz2": bz2.compress,
        "zst": lambda raw: bytes(_zstandard().compress(raw)),
    }
    return writers[kind](data)


def decompress(data: bytes, kind: str) -> bytes:
    """The reverse of `compress`."""
    readers: dict[str, Callable[[bytes], bytes]] = {
        "none": bytes,
        "xz": lzma.decompress,
        "gz": gzip.decompress,
        "bz2": bz2.decompress,
        "zst": lambda raw: bytes(_zstandard().decompress(raw)),
    }
    return readers[kind](data)


def _zstandard() -> Any:
    try:
        return importlib.import_module("compression.zstd")  # Python 3.14
    except ImportError:
        return importlib.import_module("backports.zstd")


def control_of(deb: bytes) -> str:
    """The control file of a .deb."""
    for name, data in _ar_members(deb):
        if name.startswith("control.tar"):
            kind = name.removeprefix("control.tar").lstrip(".") or "none"
            with tarfile.open(fileobj=io.BytesIO(decompress(data, kind))) as archive:
                found = next(item for item in archive if item.name.lstrip("./") == "control")
                file = archive.extractfile(found)
                assert file
                return file.read().decode()
    raise AssertionError("no control.tar")


def _ar_members(deb: bytes) -> list[tuple[str, bytes]]:
    members, at = [], 8
    while at + 60 <= len(deb):
        size = int(deb[at + 48 : at + 58])
        members.append((deb[at : at + 16].decode().strip().rstrip("/"), deb[at + 60 : at + 60 + size]))
        at += 60 + size + size % 2
    return members
