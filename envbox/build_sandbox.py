"""Runs commands of a build: root inside, nobody outside, offline, the same on every host."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from envbox.errors import EnvboxError, SandboxFailed
from envbox.host import probe, run
from envbox.sandbox import kernel, launch
from envbox.sandbox.owners import parse_owners
from envbox.sandbox.spec import Mount, SandboxSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOSTNAME = "envbox"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "FORCE_SOURCE_DATE": "1",  # TeX takes the time from SOURCE_DATE_EPOCH only if told so
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
LIMITS = "ulimit -S -n 1024 || true; ulimit -S -c 0 || true; ulimit -S -s 8192 || true"
"""For the start of whatever sh runs in a build: some programs write down what they may use."""

_MOUNTS = (
    Mount("proc", "/proc"),
    Mount("devices", "/dev"),
    Mount("tmpfs", "/run"),
    Mount("tmpfs", "/tmp", mode=0o1777),
)
# Steps at which hosts that restrict user namespaces say so: by sysctl at the first, by AppArmor at the others.
_OURS = {
    "bind source": "make it, or correct `volumes` under [session] in envbox.toml",
    "mount target": "correct `volumes` under [session] in envbox.toml, or move the project to another folder",
    "directory": "run the command in the project's folder",
}
_NAMESPACES = frozenset({"user namespace", "user namespace mapping", "namespaces"})


@dataclass(frozen=True)
class BuildSandbox:
    """A stack of layers, lowest first, under a writable `upper` in the folder `work` of the store.

    `epoch` is the time that tools which honour SOURCE_DATE_EPOCH write. `mounts` come on top of the usual ones.
    """

    layers: tuple[str, ...]
    work: str
    epoch: int
    mounts: tuple[Mount, ...] = ()
    network: str = "none"
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def upper(self) -> str:
        """What the commands write."""
        return os.path.join(self.work, "upper")

    @property
    def _owners_file(self) -> str:
        return os.path.join(self.work, "owners")

    def owners(self) -> dict[str, tuple[int, int]]:
        """Owners, by path, of what the commands wrote and what cannot carry an attribute, such as links."""
        if not os.path.exists(self._owners_file):
            return {}
        with open(self._owners_file, "rb") as file:
            return parse_owners(file.read())

    def prepare(self) -> BuildSandbox:
        """Create the work folders."""
        for name in ("upper", "overlay", "root"):
            os.makedirs(os.path.join(self.work, name), exist_ok=True)
        os.chmod(self.upper, 0o755)  # the root folder of the layer, whatever our umask
        return self

    def run(
        self,
        argv: Sequence[str],
        *,
        log: str | None = None,
        on_line: Callable[[str], None] | None = None,
        fake_root: bool = True,
    ) -> run.Completed:
        """Run a command to its end, its output captured (or put into `log`). Raises HostError if it cannot start."""
        spec_path, error_path = (
            os.path.join(self.work, "sandbox.json"),
            os.path.join(self.work, "sandbox-error"),
        )
        with open(spec_path, "w", encoding="utf-8") as file:
            file.write(self._spec(argv, fake_root=fake_root).to_json())
        completed = run.run(
            launch.command(spec_path, error_path),
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            capture=log is None,
            log=log,
            on_line=on_line,
        )
        if completed.status == launch.SETUP_FAILED and os.path.exists(error_path):
            raise setup_error(error_path)
        return completed

    def _kernel(self) -> tuple[Mount, ...]:
        """Files that tell of the one kernel that all builds are told of."""
        mounts = []
        for number, (target, text) in enumerate(kernel.FILES.items()):
            source = os.path.join(self.work, f"kernel-{number}")
            with open(source, "w", encoding="ascii") as file:
                file.write(text)
            mounts.append(Mount("bind", target, source, access="read"))
        return tuple(mounts)

    def with_mounts(self, *mounts: Mount) -> BuildSandbox:
        """The same with further mounts."""
        return replace(self, mounts=(*self.mounts, *mounts))

    def _spec(self, argv: Sequence[str], *, fake_root: bool) -> SandboxSpec:
        environment = {**_ENVIRONMENT, "SOURCE_DATE_EPOCH": str(self.epoch), **dict(self.environment)}
        return SandboxSpec(
            layers=self.layers,
            upper=self.upper,
            work=os.path.join(self.work, "overlay"),
            root=os.path.join(self.work, "root"),
            mounts=(*_MOUNTS, *self._kernel(), *self.mounts),
            uid=0,
            gid=0,
            hostname=HOSTNAME,
            network=self.network,
            environment=tuple(sorted(environment.items())),
            directory="/",
            argv=tuple(argv),
            umask=0o022,
            fake_root=fake_root,
            owners=self._owners_file if fake_root else "",
        )


def setup_error(path: str) -> EnvboxError:
    """The error that a launcher wrote to `path`, in words for people."""
    with open(path, encoding="utf-8") as file:
        failure = json.loads(file.read())
    os.unlink(path)
    return explain_setup(failure["stage"], int(failure["errno"]), failure["detail"])


def explain_setup(stage: str, number: int, detail: str) -> EnvboxError:
    """What a failed step of the isolation means, and what to do about it."""
    if stage in _NAMESPACES and number in {errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EINVAL, errno.ENOSYS}:
        return probe.explain_namespaces(stage, number)
    reason = os.strerror(number) if number else "refused"
    if stage in _OURS:
        return SandboxFailed(f"the environment cannot be entered: {stage}: {reason} ({detail})", hint=_OURS[stage])
    return SandboxFailed(
        f"the sandbox could not be set up: {stage}: {reason}" + (f" ({detail})" if detail else ""),
        hint=f"envbox needs Linux 5.11 or newer with overlayfs in user namespaces; this is {os.uname().release}",
    )
