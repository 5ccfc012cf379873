from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envbox.values import Digest

DEFAULT_SOURCES = ("mirror", "snapshot")


@dataclass(frozen=True)
class Base:
    """The distribution an environment starts from. `release` is canonical, `key` relative to the project."""

    distro: str
    release: str
    mirror: str = ""
    security_mirror: str = ""
    key: str = ""
    snapshot: str = ""
    """The day, or the moment in UTC, whose archive counts."""
    snapshot_mirror: str = ""

    def __str__(self) -> str:
        return f"{self.distro}:{self.release}"

    @property
    def snapshot_time(self) -> int | None:
        """Seconds since 1970 of the moment whose archive counts: of a day, its last."""
        if not self.snapshot:
            return None
        moment = datetime.fromisoformat(self.snapshot.removesuffix("Z")).replace(tzinfo=timezone.utc)
        if "T" not in self.snapshot:
            moment += timedelta(days=1, seconds=-1)
        return int(moment.timestamp())


@dataclass(frozen=True, order=True)
class Repository:
    """One more archive of packages. `key` is relative to the project; `fingerprint` in capitals without blanks."""

    name: str
    url: str
    suite: str
    key: str
    fingerprint: str
    components: tuple[str, ...] = ("main",)


@dataclass(frozen=True, order=True)
class PackageRequest:
    """A package of the distribution that was asked for; no `version`: the one its archive prefers."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name}={self.version}" if self.version else self.name


@dataclass(frozen=True)
class Volume:
    """A folder or file of the host that a session sees. `source` and `target` are absolute and normalised."""

    target: str
    source: str = ""
    name: str = ""
    access: str = "write"
    """`read` or `write`."""


@dataclass(frozen=True)
class SessionOptions:
    """What a session gets besides the root file system."""

    shell: str = "bash"
    volumes: tuple[Volume, ...] = ()


@dataclass(frozen=True)
class PythonLibraries:
    """Normalised PEP 508 requirements in the order written; no `index`: PyPI."""

    requirements: tuple[str, ...]
    index: str = ""


@dataclass(frozen=True)
class StepInput:
    """What a step finds as /inputs/`name`: a `url` with the `digest` of what is there, or a `path` of the project."""

    name: str
    url: str = ""
    path: str = ""
    digest: Digest | None = None


@dataclass(frozen=True)
class Step:
    """A command of the project's own that makes a layer, in the order of the spec."""

    name: str
    run: str
    inputs: tuple[StepInput, ...] = ()


@dataclass(frozen=True)
class Spec:
    """An envbox.toml, checked. `packages` are sorted and unique, `variables` are sorted."""

    name: str
    base: Base
    packages: tuple[PackageRequest, ...] = ()
    python: PythonLibraries | None = None
    variables: tuple[tuple[str, str], ...] = ()
    steps: tuple[Step, ...] = ()
    session: SessionOptions = SessionOptions()
    repositories: tuple[Repository, ...] = ()
    """Sorted by name."""
    sources: tuple[str, ...] = DEFAULT_SOURCES
    """Where artifacts are looked for, in this order: `mirror`, `snapshot`, URLs of caches, paths of stores."""
    files: tuple[str, ...] = ()
    """Files besides envbox.toml that it was read from, relative to the project's folder."""
