"""A lock's packages as an archive on the disk: the peers install the very same .debs, and wait for no network."""

from __future__ import annotations

import hashlib
import lzma
import shutil
from typing import TYPE_CHECKING

from benchmarks.workbench import remove

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.workbench import Project
    from envbox.values import Artifact

SUITE = "trixie"


def local_archive(made: Project, folder: Path, more: Sequence[Artifact] = (), *, whole: bool = False) -> Path:
    """An unsigned archive of the lock's packages and of `more`, all of which the store has.

    With `whole` its index tells of all that the distribution has, of which no file is here.
    """
    remove(folder)
    index = folder / f"dists/{SUITE}/main/binary-{made.lock.architecture.value}"
    index.mkdir(parents=True)
    stanzas = []
    locked = [artifact for group in made.lock.groups for artifact in group.artifacts]
    wanted = {artifact.source: artifact for artifact in [*locked, *more]}
    for stanza in _stanzas(made):
        source = next(line for line in stanza.splitlines() if line.startswith("Filename: "))[len("Filename: ") :]
        artifact = wanted.pop(source, None)
        if artifact:
            place = folder / source
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made.store / "blobs/sha256" / artifact.digest.hex, place)
        if artifact or whole:
            stanzas.append(stanza + "\n")
    assert not wanted, "the store has the indexes that the lock was made from"
    text = "".join(f"{stanza}\n" for stanza in stanzas)  # debootstrap overlooks a last one without its blank line
    (index / "Packages").write_text(text, encoding="utf-8")
    (folder / f"dists/{SUITE}/Release").write_text(_release(text, made.lock.architecture.value), encoding="utf-8")
    return folder


def _stanzas(made: Project) -> Iterator[str]:
    """What the archive's own indexes say of each package."""
    for index in (index for state in made.lock.archives for index in state.indexes):
        text = lzma.decompress((made.store / "blobs/sha256" / index.digest.hex).read_bytes()).decode()
        yield from (stanza for stanza in text.split("\n\n") if stanza.strip())


def _release(packages: str, architecture: str) -> str:
    data = packages.encode()
    line = f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-{architecture}/Packages"
    head = f"Origin: benchmark\nSuite: {SUITE}\nCodename: {SUITE}\nArchitectures: {architecture}\nComponents: main\n"
    return f"{head}SHA256:\n{line}\n"
