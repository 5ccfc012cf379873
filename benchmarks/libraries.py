"""How long a layer of Python libraries takes, against uv by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Budget, Case, Contestant
from benchmarks.workbench import discard, envbox, project

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.engines import Engines

_SPEC = """
name = "libraries"
base = "debian:13"

[libraries]
python = ["numpy", "pandas", "matplotlib"]
"""

_BUDGET = Budget("envbox build", "uv pip install", 1 / 1.3)


def cases(work: Path, _engines: Engines) -> list[Case]:
    """The same wheels, with and without a network."""
    made = project(work, "libraries", _SPEC)
    uv = shutil.which("uv") or _own_uv(work)
    (libraries,) = made.lock.libraries
    requirements = work / "requirements.txt"
    requirements.write_text("".join(f"{wheel.name}=={wheel.version}\n" for wheel in libraries.artifacts))
    layer = made.store / "layers-v1" / libraries.layer.hex if libraries.layer else made.store / "none"
    wheels = [made.store / "blobs/sha256" / wheel.digest.hex for wheel in libraries.artifacts]

    def ours(label: str, prepare: Callable[[], None]) -> Contestant:
        command = [*envbox(), "build"]
        return Contestant(label, command, prepare=prepare, environment=made.environment, directory=str(made.folder))

    def theirs(label: str, *, cold: bool) -> Contestant:
        return _uv_install(label, uv, work, requirements, libraries.interpreter, cold=cold)

    return [
        Case(
            "Python libraries, warm",
            "numpy, pandas, matplotlib, wheels cached, bytecode compiled",
            [ours("envbox build", lambda: _drop(layer, [], work)), theirs("uv pip install", cold=False)],
            budgets=[_BUDGET],
        ),
        Case(
            "Python libraries, cold",
            "the same, wheels downloaded",
            [ours("envbox build", lambda: _drop(layer, wheels, work)), theirs("uv pip install", cold=True)],
            budgets=[_BUDGET],
        ),
    ]


def _drop(layer: Path, wheels: list[Path], work: Path) -> None:
    discard(layer, work)
    for wheel in wheels:
        wheel.unlink(missing_ok=True)
    os.sync()


def _own_uv(work: Path) -> str:
    """uv from PyPI, in a virtual environment in the work folder."""
    place = work / "uv"
    tool = Path(__file__).resolve().parents[1] / "tools" / "make-venv"
    done = subprocess.run([str(tool), str(place), "uv"], capture_output=True, check=False)
    return str(place / "bin/uv") if done.returncode == 0 else ""


def _uv_install(label: str, uv: str, work: Path, requirements: Path, version: str, *, cold: bool) -> Contestant:
    if not uv:
        return Contestant(label, missing="not installed, and PyPI cannot be reached")
    target, cache = work / "uv-target", work / f"uv-cache-{'cold' if cold else 'warm'}"

    def prepare() -> None:
        discard(target, work)
        if cold:
            discard(cache, work)
        os.sync()

    options = ["--no-deps", "--only-binary=:all:", "--compile-bytecode", f"--python-version={version}"]
    places = [f"--target={target}", f"--cache-dir={cache}", f"--requirement={requirements}"]
    return Contestant(label, [uv, "pip", "install", *options, *places], prepare=prepare)
