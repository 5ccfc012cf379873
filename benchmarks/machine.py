"""Facts of the machine that figures mean nothing without."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from envbox.host.probe import filesystem_of

PEERS = {
    "mmdebstrap": ("mmdebstrap", "--version"),
    "debootstrap": ("debootstrap", "--version"),
    "bwrap": ("bwrap", "--version"),
    "runc": ("runc", "--version"),
    "crun": ("crun", "--version"),
    "podman": ("podman", "--version"),
    "docker": ("docker", "--version"),
    "dockerd": ("dockerd", "--version"),
    "unshare": ("unshare", "--version"),
}


def facts(work: str) -> dict[str, object]:
    """Processor, memory, kernel, file system of the work folder, Python, and the peers' versions."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "plain",
        "file system": filesystem_of(work).kind,
        "load": os.getloadavg()[0],
        "peers": {name: _output(*command) for name, command in PEERS.items()},
    }


def _field(path: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.+)$", Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return "not installed"
    return (done.stdout or done.stderr).strip().split("\n")[0]
