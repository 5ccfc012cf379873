"""How long the first build of a minimal Debian takes when all artifacts are there."""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import local_archive
from benchmarks.harness import Case, Contestant
from benchmarks.workbench import MINIMAL, envbox, project, remove

if TYPE_CHECKING:
    from pathlib import Path

_SUITE = "trixie"
_EXTRA = "ca-certificates"
"""What envbox's base has besides the packages that apt, Essential and Priority bring."""


def cases(work: Path) -> list[Case]:
    """A minimal debian:13, from the same .debs, with no network for anyone."""
    made = project(work, "build", MINIMAL)
    remove(work / "archive")
    archive = local_archive.write(made.lock, made.store / "blobs/sha256", work / "archive", _SUITE)

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
