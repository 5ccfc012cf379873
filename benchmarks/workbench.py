"""What cases share: a work folder with a store of its own, projects in it, and the envbox under test."""

from __future__ import annotations

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
        """Empty folders of the store."""
        for name in folders:
            remove(self.store / name)


def envbox() -> list[str]:
    """The program beside this Python, or the module if there is none."""
    program = Path(sys.executable).with_name("envbox")
    return [str(program)] if program.exists() else [sys.executable, "-m", "envbox"]


def project(work: Path, name: str, spec: str) -> Project:
    """Make, lock and build a project in the work folder, once; its store is its own."""
    made = Project(work / name, work / f"{name}-store")
    made.folder.mkdir(parents=True, exist_ok=True)
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


def remove(path: Path) -> None:
    """Remove a tree, of which some folders may not be writable."""
    if not path.exists():
        return
    for folder, _, _ in os.walk(path):
        if not os.access(folder, os.W_OK | os.X_OK):
            os.chmod(folder, 0o700)
    shutil.rmtree(path)
