"""What cases share: a work folder with a store of its own, projects in it, and the envbox under test."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envbox.lock import load as load_lock

if TYPE_CHECKING:
    from envbox.lock import Lock

MINIMAL = 'name = "minimal"\nbase = "debian:13"\n'


@dataclass(frozen=True)
class Project:
    """A locked and built project."""

    folder: Path
    store: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes envbox use the bench's own store."""
        return {"ENVBOX_STORE": str(self.store)}

    @property
    def lock(self) -> Lock:
        """Its lock."""
        return load_lock(str(self.folder / "envbox.lock"))

    def forget(self, *folders: str) -> None:
        """Empty folders of the store, and have all that was written so far on the disk."""
        for name in folders:
            discard(self.store / name, self.folder.parent)
        os.sync()


def envbox() -> list[str]:
    """The program beside this Python, or the module if there is none."""
    program = Path(sys.executable).with_name("envbox")
    return [str(program)] if program.exists() else [sys.executable, "-m", "envbox"]


def project(work: Path, name: str, spec: str, store: Path | None = None) -> Project:
    """Make, lock and build a project in the work folder, once; its store is its own, if not told."""
    made = Project(work / name, store or work / f"{name}-store")
    made.folder.mkdir(parents=True, exist_ok=True)
    _fill(made.store, work)
    (made.folder / "envbox.toml").write_text(spec, encoding="utf-8")
    done = subprocess.run(
        [*envbox(), "build"],
        cwd=made.folder,
        env={**os.environ, **made.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"benchmarks: {name} cannot be built:\n{done.stderr}")
    return made


def _fill(store: Path, work: Path) -> None:
    """What another store of the bench has downloaded need not be downloaded again."""
    blobs = store / "blobs/sha256"
    if blobs.exists():
        return
    blobs.mkdir(parents=True, mode=0o700)
    for other in work.glob("*-store/blobs/sha256/*"):
        if other.suffix != ".part" and not (blobs / other.name).exists():
            os.link(other, blobs / other.name)


_numbers = itertools.count()


def discard(path: Path, work: Path) -> None:
    """Put out of the way, to be removed with the work folder.

    ext4 hands out no inode that was freed within the last minutes, and looks at each of them whenever a file is
    made: removing thousands of files would slow down what is measured next.
    """
    if path.exists():
        path.rename(work / f".discarded-{os.getpid()}-{next(_numbers)}")


def flattened(made: Project, root: Path) -> Path:
    """The layers as one tree, for peers that take one, as a session's command sees them."""
    if not root.exists():
        hidden = "--exclude=./proc --exclude=./dev --exclude=./sys --exclude=./home"
        inside = f"tar --one-file-system {hidden} -C / -cf tree.tar ."
        command = [*envbox(), "run", "--root", "--", "sh", "-c", inside]
        subprocess.run(command, cwd=made.folder, env={**os.environ, **made.environment}, check=True)
        root.mkdir()
        subprocess.run(["tar", "--no-same-owner", "-C", str(root), "-xf", str(made.folder / "tree.tar")], check=True)
        (made.folder / "tree.tar").unlink()
        for name in ("proc", "dev", "sys", "tmp", "run"):
            (root / name).mkdir(exist_ok=True)
    return root


def remove(path: Path) -> None:
    """Remove a tree, of which some folders may not be writable."""
    if not path.exists():
        return
    for folder, _, _ in os.walk(path):
        if not os.access(folder, os.W_OK | os.X_OK):
            os.chmod(folder, 0o700)
    shutil.rmtree(path)
