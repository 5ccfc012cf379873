"""How long it takes to run `true` in an environment that is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Budget, Case, Contestant
from benchmarks.workbench import MINIMAL, envbox, flattened, project, remove

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.engines import Engine, Engines

_TRUE = "/usr/bin/true"
_PYTHON = "python -c pass"
_IMAGE = "envbox-bench:minimal"
_FILES = 1024
"""Open files allowed in a bundle: the limit that `runc spec` writes may be above what the host allows."""


def cases(work: Path, engines: Engines) -> list[Case]:
    """Entering a minimal Debian."""
    made = project(work, "minimal", MINIMAL)
    root = flattened(made, work / "minimal-flat")
    run = [*envbox(), "run", "--", "true"]
    entering = [
        Contestant("envbox run", run, environment=made.environment, directory=str(made.folder)),
        Contestant(_PYTHON, [sys.executable, "-c", "pass"]),
        Contestant("python -I -S -c pass", [sys.executable, "-I", "-S", "-c", "pass"]),
        _unshare(root),
        _bwrap(root),
        _bundled("runc", ["runc"], root, work),
        _crun(engines, root, work),
        _imported(engines.podman, root),
        _imported(engines.docker, root),
    ]
    budgets = [
        Budget("envbox run", "docker run", 8),
        Budget("envbox run", "podman run", 5),
        Budget("envbox run", "runc run"),
        Budget("envbox run", _PYTHON, plus=0.012),
    ]
    note = "run `true` in a minimal debian:13; all peers on the same files"
    return [Case("enter, warm", note, entering, batch=10, budgets=budgets)]


def _crun(engines: Engines, root: Path, work: Path) -> Contestant:
    plain = _bundled("crun", ["crun", "--cgroup-manager=disabled"], root, work)
    before = engines.unified()
    if plain.missing or not before or subprocess.run(plain.command, capture_output=True, check=False).returncode == 0:
        return plain
    return replace(plain, command=[*before, *plain.command], note="nsenter, to where only cgroup2 is mounted")


def _imported(engine: Engine, root: Path) -> Contestant:
    """An engine that runs images: the same tree is imported as one."""
    failed = engine.import_root(root, _IMAGE)
    return Contestant(f"{engine.name} run", missing=failed) if failed else engine.runs(_IMAGE, [_TRUE])


def _unshare(root: Path) -> Contestant:
    if not shutil.which("unshare"):
        return Contestant("unshare", missing="not installed")
    options = ["--user", "--map-root-user", "--mount", "--pid", "--ipc", "--uts", "--fork"]
    return Contestant("unshare", ["unshare", *options, f"--root={root}", _TRUE])


def _bwrap(root: Path) -> Contestant:
    if not shutil.which("bwrap"):
        return Contestant("bwrap", missing="not installed")
    mounts = ["--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    return Contestant("bwrap", ["bwrap", "--unshare-all", "--share-net", *mounts, _TRUE])


def _bundled(name: str, command: list[str], root: Path, work: Path) -> Contestant:
    if not shutil.which(name):
        return Contestant(f"{name} run", missing="not installed")
    bundle = work / f"bundle-{name}"
    remove(bundle)
    bundle.mkdir()
    done = subprocess.run([name, "spec", "--rootless"], cwd=bundle, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return Contestant(f"{name} run", missing=f"failed: {done.stderr.strip()}")
    path = bundle / "config.json"
    path.write_text(json.dumps(bundle_config(json.loads(path.read_text()), str(root))))
    state = ["--root", str(work / f"state-{name}")]
    return Contestant(f"{name} run", [*command, *state, "run", "--bundle", str(bundle), f"envbox-bench-{os.getpid()}"])


def bundle_config(config: dict[str, Any], root: str) -> dict[str, Any]:
    """The runtime's own example, with our command and root, and limits that every host allows."""
    config["process"].update(terminal=False, args=[_TRUE])
    config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": _FILES, "soft": _FILES}]
    config["root"] = {"path": root, "readonly": True}
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
    config["linux"].pop("resources", None)
    return config
