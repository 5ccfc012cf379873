"""Engines that run images: docker, with a daemon of the bench's own if none is running, and podman."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Contestant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STARTING = 30.0  # seconds that a daemon may take
_UNIFIED = "/sys/fs/cgroup/unified"
_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
"""Of open files and processes: engines ask for more than a host without CAP_SYS_RESOURCE may give."""
# From what a person would type to what a host without networks, control groups or high limits still allows.
_WAYS: Sequence[tuple[tuple[str, ...], tuple[str, ...]]] = (
    ((), ("--network=host",)),
    ((), ("--network=host", *_LIMITS)),
    ((), ("--network=none", *_LIMITS)),
    (("--runtime=runc",), ("--network=host", *_LIMITS)),
    (("--runtime=runc",), ("--network=none", *_LIMITS)),
    ((), ("--network=host", "--cgroups=disabled", *_LIMITS)),
    ((), ("--network=none", "--cgroups=disabled", *_LIMITS)),
)


@dataclass(frozen=True)
class Builder:
    """One of docker's two ways to build an image."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Engine:
    """`docker` or `podman`; `missing` says why it cannot be used."""

    def __init__(self, name: str, command: Sequence[str], missing: str = "") -> None:
        self.name = name
        self.command = tuple(command)
        self.missing = missing
        self._ways: dict[str, tuple[list[str], str]] = {}

    def import_root(self, root: Path, image: str) -> str:
        """Make an image of a root folder; why not, if it fails."""
        if self.missing:
            return self.missing
        with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
            done = _run([*self.command, "import", "-", image], stdin=tar.stdout)
        return "" if done.returncode == 0 else f"failed: {_words(done)}"

    def runs(self, image: str, argv: Sequence[str]) -> Contestant:
        """Run `argv` in a new container of the image, by the first way that works here."""
        label = f"{self.name} run"
        if self.missing:
            return Contestant(label, missing=self.missing)
        words = ""
        for before, after in _WAYS:
            command = [*self.command, *before, "run", "--rm", *after, image, *argv]
            done = _run(command)
            if done.returncode == 0:
                return Contestant(label, command, note=" ".join([*before, *after]))
            words = words or _words(done)
        return Contestant(label, missing=f"failed in every way tried: {words}")


class Engines:
    """Starts what is needed, when it is asked for; ends what it started."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._daemon: subprocess.Popen[bytes] | None = None
        self._holder: subprocess.Popen[bytes] | None = None
        self._docker: Engine | None = None

    @property
    def docker(self) -> Engine:
        """Docker, whose daemon runs."""
        if self._docker is None:
            self._docker = self._find_docker()
        return self._docker

    @property
    def podman(self) -> Engine:
        """Podman, with storage in the work folder."""
        if not shutil.which("podman"):
            return Engine("podman", [], "not installed")
        places = [f"--root={self._work}/podman", f"--runroot={self._work}/podman-run"]
        return Engine("podman", ["podman", *places])

    def builders(self) -> list[Builder]:
        """The ways to build that docker has here; older clients bring BuildKit themselves, newer ones by a plugin."""
        if self.docker.missing:
            return []
        folder = self._work / "try"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        found = []
        for name, switch in (("classic", "0"), ("BuildKit", "1")):
            environment = {"DOCKER_BUILDKIT": switch}
            for client in _clients():
                command = (client, *self.docker.command[1:], "build")
                if _run([*command, str(folder)], environment).returncode == 0:
                    found.append(Builder(name, command, environment))
                    break
        return found

    def unified(self) -> list[str]:
        """What runs a command where only version 2 of control groups is seen, for those that refuse hosts with both."""
        if os.geteuid() != 0 or not os.path.isdir(_UNIFIED):
            return []
        if not self._holder:
            script = f"mount --bind {_UNIFIED} /sys/fs/cgroup && echo there && exec sleep infinity"
            self._holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE)
            assert self._holder.stdout, "it is a pipe"
            if not self._holder.stdout.readline():
                return []
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt"]

    def close(self) -> None:
        """End what is ours."""
        for process in filter(None, (self._daemon, self._holder)):
            process.terminate()
            process.wait(_STARTING)
        for place in reversed(mounted_below(self._work, Path("/proc/self/mounts").read_text(encoding="utf-8"))):
            _run(["umount", "--lazy", place])  # engines leave some behind, and a folder with one cannot be removed

    def _find_docker(self) -> Engine:
        if not shutil.which("docker"):
            return Engine("docker", [], "not installed")
        if _run(["docker", "info"]).returncode == 0:
            return Engine("docker", ["docker"])
        if not shutil.which("dockerd") or os.geteuid() != 0:
            return Engine("docker", [], "installed, but no daemon is running")
        return self._start()

    def _start(self) -> Engine:
        work = self._work / "docker"
        work.mkdir(exist_ok=True)
        socket = f"unix://{work}/socket"
        places = [f"--data-root={work}/data", f"--exec-root={work}/run", f"--pidfile={work}/pid", f"--host={socket}"]
        command = ["dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", *places]
        with open(work / "log", "wb") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + _STARTING
        while time.monotonic() < end and self._daemon.poll() is None:
            if _run(["docker", "--host", socket, "info"]).returncode == 0:
                return Engine("docker", ["docker", "--host", socket])
            time.sleep(0.2)
        lines = (work / "log").read_text(errors="replace").strip().splitlines()
        return Engine("docker", [], f"dockerd does not start: {lines[-1] if lines else 'it says nothing'}")


def mounted_below(folder: Path, mounts: str) -> list[str]:
    """Where something is mounted below `folder`, by the text of /proc/mounts, whose order is theirs."""
    places = [line.split(" ")[1].replace("\\040", " ") for line in mounts.splitlines()]
    return [place for place in places if place.startswith(f"{folder}/")]


def _clients() -> list[str]:
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = [os.path.join(place, "docker") for place in places]
    return list(dict.fromkeys(os.path.realpath(path) for path in found if os.access(path, os.X_OK)))


def _run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, stdin: object = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **(environment or {})}
    return subprocess.run(command, env=settings, stdin=stdin, capture_output=True, text=True, check=False)  # type: ignore[call-overload, no-any-return]


def _words(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    return lines[-1]
