"""How long the first build of a minimal Debian takes when all artifacts are there."""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.archives import SUITE, local_archive
from benchmarks.harness import Budget, Case, Contestant
from benchmarks.workbench import MINIMAL, discard, envbox, project

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.engines import Engines

_CACHED, _UNPACKED = "envbox build, artifacts cached", "envbox build, package trees in the store"
_EXTRA = "ca-certificates"
"""What envbox's base has besides the packages that apt, Essential and Priority bring."""


def cases(work: Path, _engines: Engines) -> list[Case]:
    """A minimal debian:13, from the same .debs, with no network for anyone."""
    made = project(work, "build", MINIMAL)
    archive = local_archive(made, work / "archive")

    def ours(name: str, *forgotten: str) -> Contestant:
        forget = partial(made.forget, "layers-v1", "keys-v1", "environments-v1", *forgotten)
        return Contestant(name, [*envbox(), "build"], "", forget, made.environment, str(made.folder))

    contestants = [
        ours(_CACHED, "packages-v1"),
        ours(_UNPACKED),
        _mmdebstrap(archive, work / "mmdebstrap"),
        _debootstrap(archive, work / "debootstrap", work / "debootstrap-cache"),
    ]
    budgets = [
        Budget(_CACHED, "mmdebstrap", 2),
        Budget(_CACHED, "debootstrap", 4),
        Budget(_UNPACKED, "mmdebstrap", 6),
    ]
    note = "the peers install the very same .debs from a local archive; the ratio is to envbox with artifacts cached"
    return [Case("first build of a minimal debian:13", note, contestants, budgets=budgets)]


def _anew(target: Path) -> None:
    discard(target, target.parent)
    os.sync()


def _mmdebstrap(archive: Path, target: Path) -> Contestant:
    if not shutil.which("mmdebstrap"):
        return Contestant("mmdebstrap", missing="not installed")
    mode = "root" if os.geteuid() == 0 else "unshare"
    command = ["mmdebstrap", f"--mode={mode}", "--variant=required", f"--include=apt,{_EXTRA}", SUITE, str(target)]
    source = f"deb [trusted=yes] copy:{archive} {SUITE} main"
    return Contestant("mmdebstrap", [*command, source], prepare=partial(_anew, target))


def _debootstrap(archive: Path, target: Path, cache: Path) -> Contestant:
    if not shutil.which("debootstrap"):
        return Contestant("debootstrap", missing="not installed")
    if os.geteuid() != 0:
        return Contestant("debootstrap", missing="needs root")
    cache.mkdir(exist_ok=True)
    options = ["--variant=minbase", "--no-check-gpg", f"--cache-dir={cache}", f"--include={_EXTRA}"]
    command = ["debootstrap", *options, SUITE, str(target), f"file://{archive}"]
    return Contestant("debootstrap", command, prepare=partial(_anew, target))
