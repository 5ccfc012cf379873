"""The same packages installed by mmdebstrap as real root: what envbox must arrive at, down to owners and modes."""

from __future__ import annotations

import fnmatch
import hashlib
import subprocess
import tarfile
from collections import Counter
from dataclasses import dataclass, replace
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
_ACCOUNTS = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow")
_UNSORTED = ("var/lib/dpkg/triggers/File",)
"""In the order of unpacking, which is by name here: compared by lines."""
TEXTS = ("var/lib/apt/extended_states", "var/lib/dpkg/status", *_UNSORTED, *_ACCOUNTS)
_BASE = ("apt", "ca-certificates")
_LINKS = 'for name in bin sbin lib lib64; do mkdir -p "$1/usr/$name" && ln -s "usr/$name" "$1/$name"; done'
_MERGE_USR = {"bookworm": ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"], "bullseye": [f"--setup-hook={_LINKS}"]}
_FULL = 0o777
_FOR_PACKAGES = range(100, 1000)
"""Debian Policy 9.2.2: numbers of system users that packages make."""


@dataclass(frozen=True)
class Fact:
    """What is compared of a path: not times, which the two clamp differently."""

    kind: str
    mode: int
    owner: tuple[str, str]
    """Names of user and group, or numbers where there are none: see `_in_names`."""
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
    command += _MERGE_USR.get(codename, [])
    command += [codename, "-", f"deb [trusted=yes] copy:{archive} {codename} main"]
    temporary, log = work / "tmp", work / "log"
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "SOURCE_DATE_EPOCH": str(lock.epoch),
        "FORCE_SOURCE_DATE": "1",
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
    return Installed(_in_names(_without_parents_gone(facts), texts), texts)


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
    owner = (str(member.uid), str(member.gid))
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


def ours(entries: Iterable[Entry], read: Callable[[str], str]) -> Installed:
    """The same of a merged manifest, without what the table removes; `read` gives the text of a file, or ""."""
    texts = {path: read(path) for path in TEXTS}
    return Installed(_in_names(_facts_of_entries(entries), texts), texts)


def _facts_of_entries(entries: Iterable[Entry]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    links = []
    for entry in entries:
        if entry.kind == "hardlink":
            links.append(entry)
            continue
        content = {"file": entry.digest, "symlink": entry.target}.get(entry.kind, "")
        kind = "directory" if entry.is_directory else entry.kind
        owner = (str(entry.uid), str(entry.gid))
        facts[entry.path] = Fact(kind, entry.mode, owner, entry.size, content, entry.xattrs)
    for entry in links:
        facts[entry.path] = facts[entry.target]
    gone = [row.pattern for row in normalise_table.ROWS if row.content is None and not row.link]
    return _without_parents_gone({p: fact for p, fact in facts.items() if not any(_named(p, row) for row in gone)})


def _in_names(facts: dict[str, Fact], texts: Mapping[str, str]) -> dict[str, Fact]:
    """Owners by name, and account files without the numbers of users that packages made, in the order of names.

    Such users get the next free number when their package is configured, and apt chooses another order than dpkg does.
    """
    users, groups = _names(texts.get("etc/passwd", "")), _names(texts.get("etc/group", ""))
    named = {
        path: replace(fact, owner=(users.get(fact.owner[0], fact.owner[0]), groups.get(fact.owner[1], fact.owner[1])))
        for path, fact in facts.items()
    }
    for path in _ACCOUNTS:
        if path in named and texts.get(path):
            text = _without_numbers(texts[path], groups)
            named[path] = replace(named[path], size=len(text), content=text)
    for path in _UNSORTED:
        if path in named:
            text = "\n".join(sorted(texts.get(path, "").splitlines()))
            named[path] = replace(named[path], content=text)
    return named


def _names(accounts: str) -> dict[str, str]:
    rows = (line.split(":") for line in accounts.splitlines())
    return {row[2]: row[0] for row in rows if len(row) > 2}


def _without_numbers(accounts: str, groups: Mapping[str, str]) -> str:
    lines = []
    for line in accounts.splitlines():
        fields = line.split(":")
        if len(fields) in {4, 7} and fields[2].isdecimal() and int(fields[2]) in _FOR_PACKAGES:
            fields[2] = ""
            fields[3] = groups.get(fields[3], fields[3])
        lines.append(":".join(fields))
    return "\n".join(sorted(lines))


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
