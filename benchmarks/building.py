"""How long the first build of a minimal Debian takes when all artifacts are there."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.harness import Case, Contestant
from benchmarks.workbench import MINIMAL, Project, envbox, project, remove

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUITE = "trixie"
_EXTRA = "ca-certificates"
"""What envbox's base has besides the packages that apt, Essential and Priority bring."""


def cases(work: Path) -> list[Case]:
    """A minimal debian:13, from the same .debs, with no network for anyone."""
    made = project(work, "build", MINIMAL)
    archive = _archive(made, work / "archive")

    def ours(name: str, *forgotten: str) -> Contestant:
        forget = partial(made.forget, "layers-v1", "keys-v1", "environments-v1", *forgotten)
        return Contestant(name, [*envbox(), "build"], "", forget, made.environment, str(made.folder))

    contestants = [
        ours("envbox build, artifacts cached", "packages-v1"),
        ours("envbox build, package trees in the store"),
        _mmdebstrap(archive, work / "mmdebstrap"),
        _debootstrap(archive, work / "debootstrap", work / "debootstrap-cache"),
    ]
    note = "the peers install the very same .debs from a local archive; the ratio is to envbox with artifacts cached"
    return [Case("first build of a minimal debian:13", note, contestants)]


def _archive(made: Project, folder: Path) -> Path:
    """An unsigned archive of the lock's packages, so that nobody waits for a network."""
    remove(folder)
    pool, index = folder / "pool", folder / f"dists/{_SUITE}/main/binary-{made.lock.architecture.value}"
    pool.mkdir(parents=True)
    index.mkdir(parents=True)
    stanzas = []
    wanted = {artifact.source: artifact for group in made.lock.groups for artifact in group.artifacts}
    for stanza in _stanzas(made):
        source = next(line for line in stanza.splitlines() if line.startswith("Filename: "))[len("Filename: ") :]
        artifact = wanted.pop(source, None)
        if artifact:
            name = source.rpartition("/")[2]
            shutil.copy(made.store / "blobs/sha256" / artifact.digest.hex, pool / name)
            stanzas.append(stanza.replace(f"Filename: {source}", f"Filename: pool/{name}") + "\n")
    assert not wanted, "the store has the indexes that the lock was made from"
    text = "".join(f"{stanza}\n" for stanza in stanzas)  # debootstrap overlooks a last one without its blank line
    (index / "Packages").write_text(text, encoding="utf-8")
    (folder / f"dists/{_SUITE}/Release").write_text(_release(text, made.lock.architecture.value), encoding="utf-8")
    return folder


def _stanzas(made: Project) -> Iterator[str]:
    """What the archive's own indexes say of each package."""
    for index in (index for state in made.lock.archives for index in state.indexes):
        text = lzma.decompress((made.store / "blobs/sha256" / index.digest.hex).read_bytes()).decode()
        yield from (stanza for stanza in text.split("\n\n") if stanza.strip())


def _release(packages: str, architecture: str) -> str:
    data = packages.encode()
    line = f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-{architecture}/Packages"
    head = f"Origin: benchmark\nSuite: {_SUITE}\nCodename: {_SUITE}\nArchitectures: {architecture}\nComponents: main\n"
    return f"{head}SHA256:\n{line}\n"


def _mmdebstrap(archive: Path, target: Path) -> Contestant:
    if not shutil.which("mmdebstrap"):
        return Contestant("mmdebstrap", missing="not installed")
    mode = "root" if os.geteuid() == 0 else "unshare"
    command = ["mmdebstrap", f"--mode={mode}", "--variant=required", f"--include=apt,{_EXTRA}", _SUITE, str(target)]
    return Contestant(
        "mmdebstrap", [*command, f"deb [trusted=yes] copy:{archive} {_SUITE} main"], prepare=lambda: remove(target)
    )


def _debootstrap(archive: Path, target: Path, cache: Path) -> Contestant:
    if not shutil.which("debootstrap"):
        return Contestant("debootstrap", missing="not installed")
    if os.geteuid() != 0:
        return Contestant("debootstrap", missing="needs root")
    cache.mkdir(exist_ok=True)
    options = ["--variant=minbase", "--no-check-gpg", f"--cache-dir={cache}", f"--include={_EXTRA}"]
    return Contestant(
        "debootstrap",
        ["debootstrap", *options, _SUITE, str(target), f"file://{archive}"],
        prepare=lambda: remove(target),
    )
