"""The same packages installed by mmdebstrap, as real root, from the same archive: what envbox must arrive at."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envbox.store.manifest import Entry

DEBIAN = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"


@dataclass(frozen=True)
class Fact:
    """What is compared of a path: not times, which the two clamp differently."""

    kind: str
    mode: int
    owner: tuple[int, int]
    size: int
    content: str


@dataclass(frozen=True)
class Installed:
    """A root file system: its facts, and the texts of the files in TEXTS."""

    facts: dict[str, Fact]
    texts: dict[str, str]


TEXTS = ("var/lib/apt/extended_states", "var/lib/dpkg/triggers/File", "var/lib/dpkg/status")


MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
AVOIDED = {"bookworm": ("usrmerge",)}
"""What apt would choose of alternatives, but debootstrap and envbox do not: usr-is-merged needs no Perl modules."""


def installed(codename: str, packages: Sequence[str], epoch: int, versions: str, cache: Path) -> Installed:
    """What mmdebstrap makes of `packages`, kept in `cache` for as long as `versions`, of all packages, are those."""
    avoided = AVOIDED.get(codename, ())
    key = hashlib.sha256(f"{codename} {sorted(packages)} {avoided} {epoch} {versions} 1".encode()).hexdigest()
    kept = cache / f"mmdebstrap-{key}.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            target = Path(folder, "root.tar")
            mmdebstrap(codename, packages, target, epoch)
            facts, texts = facts_of_tar(target), texts_of_tar(target)
        rows = {path: list(vars(fact).values()) for path, fact in facts.items()}
        temporary = kept.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"facts": rows, "texts": texts}), encoding="utf-8")
        os.replace(temporary, kept)
    data = json.loads(kept.read_text(encoding="utf-8"))
    rows = data["facts"].items()
    return Installed({path: Fact(k, m, (o[0], o[1]), s, c) for path, (k, m, o, s, c) in rows}, data["texts"])


def texts_of_tar(path: Path) -> dict[str, str]:
    """The contents of the files in TEXTS."""
    texts = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name in TEXTS:
                texts[name] = archive.extractfile(member).read().decode()
    return texts


def mmdebstrap(codename: str, packages: Sequence[str], target: Path, epoch: int) -> None:
    """Install into the tar file `target`."""
    sources = [
        f"deb {DEBIAN} {codename} main",
        f"deb {DEBIAN} {codename}-updates main",
        f"deb {SECURITY} {codename}-security main",
    ]
    command = ["mmdebstrap", "--variant=required", f"--include={','.join(['apt', 'ca-certificates', *packages])}"]
    place = '"$1"/etc/apt/preferences.d/avoided'  # hooks are shell text, with the root as $1
    for name in AVOIDED.get(codename, ()):
        pin = f"Package: {name}\\nPin: release *\\nPin-Priority: -1\\n"
        command += [f"--setup-hook=mkdir -p $(dirname {place}) && printf '{pin}' >{place}"]
        command += [f"--customize-hook=rm {place}", f"--hook-dir={MERGED_USR}"]
    command += ["--mode=root", codename, str(target), *sources]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run(command, env=environment, check=True, capture_output=True)


def facts_of_tar(path: Path) -> dict[str, Fact]:
    """All paths of a tar, hard links as the files they are."""
    facts: dict[str, Fact] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./").rstrip("/").removeprefix(".")
            if member.islnk():
                facts[name] = facts[member.linkname.removeprefix("./")]
                continue
            owner = (member.uid, member.gid)
            if member.isreg():
                data = archive.extractfile(member).read()
                facts[name] = Fact("file", member.mode, owner, member.size, hashlib.sha256(data).hexdigest())
            elif member.issym():
                facts[name] = Fact("symlink", 0o777, owner, 0, member.linkname)
            else:
                kind = "directory" if member.isdir() else "other"
                facts[name] = Fact(kind, member.mode, owner, 0, "")
    return facts


def facts_of_entries(entries: Iterable[Entry]) -> dict[str, Fact]:
    """The same of a merged manifest."""
    facts: dict[str, Fact] = {}
    links = []
    for entry in entries:
        if entry.kind == "hardlink":
            links.append(entry)
            continue
        content = {"file": entry.digest, "symlink": entry.target}.get(entry.kind, "")
        kind = "directory" if entry.is_directory else entry.kind
        facts[entry.path] = Fact(kind, entry.mode, (entry.uid, entry.gid), entry.size, content)
    for entry in links:
        facts[entry.path] = facts[entry.target]
    return facts


def differences(ours: Mapping[str, Fact], theirs: Mapping[str, Fact]) -> dict[str, str]:
    """Path -> what differs."""
    found = {}
    for path in ours.keys() | theirs.keys():
        mine, other = ours.get(path), theirs.get(path)
        if mine is None or other is None:
            found[path] = "only mmdebstrap has it" if mine is None else "only envbox has it"
        elif mine != other:
            names = [name for name in Fact.__dataclass_fields__ if getattr(mine, name) != getattr(other, name)]
            found[path] = ", ".join(f"{n}: {getattr(mine, n)!r} != {getattr(other, n)!r}" for n in names)
    return found
