"""What a sandbox is made of, as one immutable value that round-trips through JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Mount:
    """One thing mounted over the root, in the order given.

    `kind` is "bind" (a host file or folder with what is mounted below it), "tmpfs" (empty, with `mode`),
    "proc", "devices" (a whole /dev) or "system" (/sys, read-only). `access` is "write" or "read" and concerns
    binds. An `optional` bind whose source does not exist is left out.
    """

    kind: str
    target: str
    source: str = ""
    access: str = "write"
    mode: int = 0o755
    optional: bool = False


@dataclass(frozen=True)
class SandboxSpec:
    """Everything a back end needs to run one command in a root file system.

    `layers` are absolute folders, lowest first; `upper` and `work` are the overlay's writable folders on one
    file system (both "": a read-only root); `root` is an existing empty folder. The caller's own ids appear
    inside as `uid` and `gid`. `network` is "host" or "none".

    With `fake_root` changes of ownership are not made but recorded: in the attribute `user.envbox.owner`, and
    for what cannot hold one in the host's file `owners`, kept with `upper`: the next command takes it up.
    """

    layers: tuple[str, ...]
    upper: str
    work: str
    root: str
    mounts: tuple[Mount, ...]
    uid: int
    gid: int
    hostname: str
    network: str
    environment: tuple[tuple[str, str], ...]
    directory: str
    argv: tuple[str, ...]
    umask: int = field(default=0o022)
    fake_root: bool = False
    owners: str = ""

    def to_json(self) -> str:
        """The plain form that `native.launch` takes once it is parsed."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SandboxSpec:
        """The spec that `to_json` wrote."""
        plain = json.loads(text)
        plain["layers"] = tuple(plain["layers"])
        plain["mounts"] = tuple(Mount(**mount) for mount in plain["mounts"])
        plain["environment"] = tuple((name, value) for name, value in plain["environment"])
        plain["argv"] = tuple(plain["argv"])
        return cls(**plain)
