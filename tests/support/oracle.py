"""What mmdebstrap makes of an environment, kept between runs of the tests."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.identity import oracle
from benchmarks.identity.oracle import Fact, Installed
from envbox.store import normalise_table

if TYPE_CHECKING:
    from envbox.lock import Lock

_SOURCES = (oracle.__file__, normalise_table.__file__)


def installed(lock: Lock, blobs: Path, cache: Path) -> Installed:
    """As `benchmarks.identity.oracle` has it, from `cache` if it is there."""
    kept = cache / f"mmdebstrap-{_key(lock)}.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            os.chmod(folder, 0o755)
            Path(folder, "tmp").mkdir(mode=0o755)
            made = oracle.installed(lock, blobs, Path(folder))
        rows = {path: list(vars(fact).values()) for path, fact in made.facts.items()}
        temporary = kept.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"facts": rows, "texts": made.texts}), encoding="utf-8")
        os.replace(temporary, kept)
    data = json.loads(kept.read_text(encoding="utf-8"))
    return Installed({path: _fact(*row) for path, row in data["facts"].items()}, data["texts"])


def _fact(kind: str, mode: int, owner: list[str], size: int, content: str, attributes: list[list[str]]) -> Fact:
    return Fact(kind, mode, (owner[0], owner[1]), size, content, tuple((name, value) for name, value in attributes))


def _key(lock: Lock) -> str:
    wanted = [(group.requested, [str(a.digest) for a in group.artifacts]) for group in lock.groups]
    rules = b"".join(Path(source).read_bytes() for source in _SOURCES)
    return hashlib.sha256(rules + f"{lock.request.base} {lock.epoch} {wanted}".encode()).hexdigest()
