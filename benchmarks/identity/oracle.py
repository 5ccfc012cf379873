"""The same packages installed by mmdebstrap as real root: what envbox must arrive at, down to owners and modes."""

from __future__ import annotations

import fnmatch
import hashlib
import subprocess
import tarfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import local_archive
from benchmarks.identity.by_design import ABSENT, OTHER, PRESENT, ROWS
from envbox.store import normalise_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.identity.by_design import Row
    from envbox.lock import Lock
    from envbox.store.manifest import Entry

    See = Callable[[str, "Fact", bytes], None]

CODENAMES = {"debian:11": "bullseye", "debian:12": "bookworm", "debian:13": "trixie"}
TEXTS = ("var/lib/apt/extended_states", "var/lib/dpkg/triggers/File", "var/lib/dpkg/status")
_BASE = ("apt", "ca-certificates")
_HOOKS = ("/usr/share/mmdebstrap/hooks/merged-usr",)
_FULL = 0o777


@dataclass(frozen=True)
class Fact:
    """What is compared of a path: not times, which the two clamp differently."""

    kind: str
    mode: int
    owner: tuple[int, int]
    size: int
    content: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Installed:
    """A root file system: its facts, and the texts of the files in TEXTS."""

    facts: dict[str, Fact]
    texts: dict[str, str]


class NotInstalled(Exception):
    """What mmdebstrap said when it failed."""


def installed(lock: Lock, blobs: Path, work: Path, see: See = lambda _path, _fact, _content: None) -> Installed:
    """What mmdebstrap makes of what the lock's environment asks for, out of the lock's .debs and none else.

    `work` has an empty folder `tmp`; `see` is shown every file. Must be called by root. Raises NotInstalled.
    """
    codename = CODENAMES[lock.request.base]
    archive = local_archive.write(lock, blobs, work / "archive", codename)
    requested = [name for group in lock.groups for name in group.requested]
    command = ["mmdebstrap", "--mode=root", "--variant=required", f"--include={','.join([*_BASE, *requested])}"]
    command += [f"--hook-dir={hook}" for hook in _HOOKS if codename != "trixie"]
    command += [codename, "-", f"deb [trusted=yes] copy:{archive} {codename} main"]
    temporary, log = work / "tmp", work / "log"
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "SOURCE_DATE_EPOCH": str(lock.epoch),
        "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }
    named = ["unshare", "--uts", "sh", "-c", 'hostname envbox && exec "$@"', "sh"]
    with open(log, "wb") as errors, subprocess.Popen(
        [*named, *command], env=environment, stdout=subprocess.PIPE, stderr=errors, umask=0o022
    ) as process:  # fmt: skip
        assert process.stdout, "a pipe"
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                result = _read(tar, lock.epoch, see)
        except tarfile.ReadError:
            result = Installed({}, {})
    if process.returncode:
        raise NotInstalled(log.read_text(encoding="utf-8", errors="replace")[-4000:])
    return result


def _read(archive: tarfile.TarFile, epoch: int, see: See) -> Installed:
    facts: dict[str, Fact] = {}
    texts = {}
    for member in archive:
        name = member.name.removeprefix("./").rstrip("/").removeprefix(".")
        data = archive.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr]
        if member.islnk():
            facts[name] = facts[member.linkname.removeprefix("./")]
            continue
        settled = _settled(name, member.linkname if member.issym() else None, data, epoch)
        if settled is None:
            continue
        if name in TEXTS:
            texts[name] = settled.decode()
        facts[name] = _fact(member, settled)
        see(name, facts[name], settled)
    return Installed(_without_parents_gone(facts), texts)


def _settled(name: str, link: str | None, data: bytes, epoch: int) -> bytes | None:
    """What the normalising table makes of a file's content, None where it removes the path."""
    for row in normalise_table.ROWS:
        if not _named(name, row.pattern):
            continue
        if row.link and not (link is not None and fnmatch.fnmatchcase(link, row.link)):
            continue
        if row.content is None:
            return None
        data = row.content(data, epoch)
    return data


def _named(path: str, pattern: str) -> bool:
    """As a shell pattern whose wildcards cross no folder."""
    parts, patterns = path.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def _without_parents_gone(facts: dict[str, Fact]) -> dict[str, Fact]:
    kept: dict[str, Fact] = {}
    for path in sorted(facts):
        if not path or path.rpartition("/")[0] in kept:
            kept[path] = facts[path]
    return kept


def _fact(member: tarfile.TarInfo, data: bytes) -> Fact:
    owner = (member.uid, member.gid)
    prefix = "SCHILY.xattr."
    attributes = tuple(
        (name.removeprefix(prefix), value.encode("utf-8", "surrogateescape").hex())
        for name, value in sorted(member.pax_headers.items())
        if name.startswith(f"{prefix}security.")
    )
    if member.isreg():
        return Fact("file", member.mode, owner, len(data), hashlib.sha256(data).hexdigest(), attributes)
    if member.issym():
        return Fact("symlink", _FULL, owner, 0, member.linkname)
    kind = "directory" if member.isdir() else "fifo" if member.isfifo() else "other"
    return Fact(kind, member.mode, owner, 0, "", attributes)


def facts_of_entries(entries: Iterable[Entry]) -> dict[str, Fact]:
    """The same of a merged manifest, without what the table removes from layers that scripts wrote."""
    facts: dict[str, Fact] = {}
    links = []
    for entry in entries:
        if entry.kind == "hardlink":
            links.append(entry)
            continue
        content = {"file": entry.digest, "symlink": entry.target}.get(entry.kind, "")
        kind = "directory" if entry.is_directory else entry.kind
        owner = (entry.uid, entry.gid)
        facts[entry.path] = Fact(kind, entry.mode, owner, entry.size, content, entry.xattrs)
    for entry in links:
        facts[entry.path] = facts[entry.target]
    gone = [row.pattern for row in normalise_table.ROWS if row.content is None and not row.link]
    return _without_parents_gone({p: fact for p, fact in facts.items() if not any(_named(p, row) for row in gone)})


def differences(ours: Mapping[str, Fact], theirs: Mapping[str, Fact]) -> dict[str, str]:
    """Path -> what differs."""
    found = {}
    for path in ours.keys() | theirs.keys():
        mine, other = ours.get(path), theirs.get(path)
        if mine is None or other is None:
            found[path] = ABSENT if mine is None else PRESENT
        elif mine != other:
            names = [name for name in Fact.__dataclass_fields__ if getattr(mine, name) != getattr(other, name)]
            found[path] = ", ".join(f"{n}: {getattr(mine, n)!r} != {getattr(other, n)!r}" for n in names)
    return found


def judge(found: Mapping[str, str], rows: Sequence[Row] = ROWS) -> tuple[dict[str, str], Counter[Row]]:
    """Differences that no row explains, and how many each row does."""
    used: Counter[Row] = Counter()
    left = {}
    for path, what in sorted(found.items()):
        kind = what if what in {ABSENT, PRESENT} else OTHER
        row = next((row for row in rows if row.kind == kind and fnmatch.fnmatchcase(path, row.pattern)), None)
        if row is None:
            left[path] = what
        else:
            used[row] += 1
    return left, used
