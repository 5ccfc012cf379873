"""An unsigned archive of exactly a lock's packages, out of a store, so that peers install the very same .debs."""

from __future__ import annotations

import hashlib
import lzma
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from envbox.lock import Lock


def write(lock: Lock, blobs: Path, folder: Path, suite: str) -> Path:
    """Make it in the new `folder`; `blobs` holds the lock's artifacts and the indexes it was made from."""
    architecture = lock.architecture.value
    pool, index = folder / "pool", folder / f"dists/{suite}/main/binary-{architecture}"
    pool.mkdir(parents=True)
    index.mkdir(parents=True)
    stanzas = []
    wanted = {artifact.source: artifact for group in lock.groups for artifact in group.artifacts}
    for stanza in _stanzas(lock, blobs):
        source = next(line for line in stanza.splitlines() if line.startswith("Filename: "))[len("Filename: ") :]
        artifact = wanted.pop(source, None)
        if artifact:
            name = source.rpartition("/")[2]
            (pool / name).symlink_to((blobs / artifact.digest.hex).resolve())
            stanzas.append(stanza.replace(f"Filename: {source}", f"Filename: pool/{name}") + "\n")
    assert not wanted, "the store has the indexes that the lock was made from"
    text = "".join(f"{stanza}\n" for stanza in stanzas)  # debootstrap overlooks a last one without its blank line
    (index / "Packages").write_text(text, encoding="utf-8")
    (folder / f"dists/{suite}/Release").write_text(_release(text, architecture, suite), encoding="utf-8")
    return folder


def _stanzas(lock: Lock, blobs: Path) -> Iterator[str]:
    """What the archive's own indexes say of each package."""
    for index in (index for state in lock.archives for index in state.indexes):
        text = lzma.decompress((blobs / index.digest.hex).read_bytes()).decode()
        yield from (stanza for stanza in text.split("\n\n") if stanza.strip())


def _release(packages: str, architecture: str, suite: str) -> str:
    data = packages.encode()
    line = f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-{architecture}/Packages"
    head = f"Origin: benchmark\nSuite: {suite}\nCodename: {suite}\nArchitectures: {architecture}\nComponents: main\n"
    return f"{head}SHA256:\n{line}\n"
