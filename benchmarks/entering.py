"""How long it takes to run `true` in an environment that is there, and to find that nothing has to be done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Case, Contestant
from benchmarks.workbench import MINIMAL, Project, envbox, project, remove

if TYPE_CHECKING:
    from pathlib import Path

_TRUE = "/usr/bin/true"
_FILES = 1024
"""Open files allowed in a bundle: the limit that `runc spec` writes may be above what the host allows."""


def cases(work: Path) -> list[Case]:
    """Entering, and a build with nothing to do."""
    made = project(work, "minimal", MINIMAL)
    root = _flattened(made, work / "minimal-flat")
    environment, folder = made.environment, str(made.folder)
    ours = Contestant("envbox run", [*envbox(), "run", "--", "true"], environment=environment, directory=folder)
    entering = [
        ours,
        Contestant("python -c pass", [sys.executable, "-c", "pass"]),
        Contestant("python -I -S -c pass", [sys.executable, "-I", "-S", "-c", "pass"]),
        _unshare(root),
        _bwrap(root),
        _bundled("runc", ["runc"], root, work),
        _bundled("crun", ["crun", "--cgroup-manager=disabled"], root, work),
        _imported("podman", root),
        _imported("docker", root),
    ]
    built = Contestant("envbox build", [*envbox(), "build"], environment=environment, directory=folder)
    return [
        Case("enter, warm", "run `true` in a minimal debian:13; all peers on the same files", entering, batch=10),
        Case("nothing to do", "envbox build when everything is there", [built, ours, entering[1]], batch=5),
    ]


def _flattened(made: Project, root: Path) -> Path:
    """The layers as one tree, for peers that take one, as a session's command sees them."""
    if not root.exists():
        hidden = "--exclude=./proc --exclude=./dev --exclude=./sys --exclude=./home"
        inside = f"tar --one-file-system {hidden} -C / -cf tree.tar ."
        command = [*envbox(), "run", "--root", "--", "sh", "-c", inside]
        subprocess.run(command, cwd=made.folder, env={**os.environ, **made.environment}, check=True)
        root.mkdir()
        subprocess.run(["tar", "--no-same-owner", "-C", str(root), "-xf", str(made.folder / "tree.tar")], check=True)
        for name in ("proc", "dev", "sys", "tmp", "run"):
            (root / name).mkdir(exist_ok=True)
    return root


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


def _imported(name: str, root: Path) -> Contestant:
    """An engine that runs images: the same tree is imported as one."""
    label = f"{name} run"
    if not shutil.which(name):
        return Contestant(label, missing="not installed")
    if subprocess.run([name, "info"], capture_output=True, check=False).returncode != 0:
        return Contestant(label, missing="installed, but `info` fails: no engine is running")
    image = "envbox-bench:minimal"
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        done = subprocess.run(
            [name, "import", "-", image], stdin=tar.stdout, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        return Contestant(label, missing=f"failed: {done.stderr.strip()}")
    return Contestant(label, [name, "run", "--rm", "--network=host", image, _TRUE])
