from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envbox.spec import Repository
    from envbox.values import Architecture, Artifact, Digest


@dataclass(frozen=True)
class Request:
    """What the spec asked for when it was locked, as far as it decides what is in the root file system."""

    base: str
    packages: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    python_index: str = ""
    mirror: str = ""
    security_mirror: str = ""
    key: str = ""
    snapshot: str = ""
    snapshot_mirror: str = ""
    repositories: tuple[Repository, ...] = ()

    def __post_init__(self) -> None:
        _sort(self, "repositories")


@dataclass(frozen=True, order=True)
class ArchiveIndex:
    """A package index that an archive's Release file promises; `path` as that file names it."""

    path: str
    size: int
    digest: Digest

    @property
    def component(self) -> str:
        """`main`, ...: what the index is of."""
        return self.path.rpartition("/binary-")[0]


@dataclass(frozen=True)
class ArchiveState:
    """The signed state of one archive (`main`, `updates`, `security`, a repository) that was resolved against."""

    name: str
    url: str
    suite: str
    date: int
    release: Digest
    signers: tuple[str, ...]
    indexes: tuple[ArchiveIndex, ...]
    key: tuple[str, ...] = ()
    """The lines of the armoured key of a repository; none for what the distribution's keys sign."""

    def __post_init__(self) -> None:
        _sort(self, "signers", "indexes")

    @property
    def components(self) -> tuple[str, ...]:
        """Those of the suite that were resolved against."""
        return tuple(index.component for index in self.indexes)


@dataclass(frozen=True)
class Group:
    """Packages that are installed in one go, as two layers; no digest: not built yet."""

    name: str
    requested: tuple[str, ...]
    artifacts: tuple[Artifact, ...]
    unpacked: Digest | None = None
    configured: Digest | None = None

    def __post_init__(self) -> None:
        _sort(self, "requested", "artifacts")


@dataclass(frozen=True)
class LibrarySet:
    """One language's libraries, as one layer; `tools` install them and are not part of it."""

    language: str
    interpreter: str
    tools: tuple[Artifact, ...]
    artifacts: tuple[Artifact, ...]
    layer: Digest | None = None

    def __post_init__(self) -> None:
        _sort(self, "tools", "artifacts")


@dataclass(frozen=True, order=True)
class StepInput:
    """A file that a step finds as /inputs/`name`. `source` is a URL, or a path of the project, a folder's with a `/`.

    A folder's `size` and `digest` are those of its canonical tar: see `envbox.inputs`.
    """

    name: str
    source: str
    size: int
    digest: Digest

    @property
    def is_remote(self) -> bool:
        """True if it is downloaded, not the project's own."""
        return self.source.startswith(("http://", "https://"))

    @property
    def is_folder(self) -> bool:
        """True if it is a folder of the project."""
        return not self.is_remote and self.source.endswith("/")


@dataclass(frozen=True)
class BuildStep:
    """A command of the project's own, as one layer above all that stands before it."""

    name: str
    run: str
    inputs: tuple[StepInput, ...] = ()
    layer: Digest | None = None

    def __post_init__(self) -> None:
        _sort(self, "inputs")


@dataclass(frozen=True)
class Lock:
    """An envbox.lock. `epoch` is the time that clamped files bear; groups and steps are taken in their order."""

    recipe: int
    architecture: Architecture
    epoch: int
    request: Request
    archives: tuple[ArchiveState, ...]
    groups: tuple[Group, ...]
    libraries: tuple[LibrarySet, ...] = ()
    steps: tuple[BuildStep, ...] = ()


def _sort(value: object, *names: str) -> None:
    """Put fields whose order means nothing into the one order that a lock is written in."""
    for name in names:
        # Written past the freeze: the value is still being made.
        object.__setattr__(value, name, tuple(sorted(getattr(value, name))))
