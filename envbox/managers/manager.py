"""What a package manager must be able to do. Mechanism only: facts come from the distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbox.build_sandbox import BuildSandbox
    from envbox.distros import Distro
    from envbox.lock import ArchiveState, Lock
    from envbox.spec import Base, PackageRequest, Repository
    from envbox.store.manifest import Entry
    from envbox.store.stack import Stack
    from envbox.store.store import Store
    from envbox.store.view import View
    from envbox.values import Architecture, Artifact, Digest
    from envbox.workshop import Workshop


@dataclass(frozen=True)
class ArchiveRequest:
    """Which archives to open: `keys` may sign the base's besides the distribution's, each repository has its own."""

    base: Base
    keys: tuple[bytes, ...] = ()
    repositories: tuple[tuple[Repository, bytes], ...] = ()


@dataclass(frozen=True)
class GroupWork:
    """What a manager needs to lay out and to configure one group of packages."""

    distro: Distro
    name: str
    requested: tuple[str, ...]
    digests: tuple[Digest, ...]
    """Of the group's artifacts, in the lock's order."""
    release: str
    architecture: Architecture
    repositories: tuple[ArchiveState, ...]
    """Those that this group makes known to the root's own manager."""
    below: View
    """All layers under the group's own two."""
    read_below: Callable[[str], str]
    """Text of a file in those layers, empty if there is none."""
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What the manager keeps from laying the group out for configuring it."""

    @property
    def is_base(self) -> bool:
        """True for the group that everything else stands on."""
        return not self.below.get("")


class Manager(Protocol):
    """A package manager. Its `archive` values are its own; others only hand them back."""

    def open_archive(
        self,
        distro: Distro,
        wanted: ArchiveRequest,
        architecture: Architecture,
        workshop: Workshop,
    ) -> Any:
        """Fetch and verify the package lists. Raises NetworkFailed, SignatureInvalid."""

    def reopen_archive(self, lock: Lock, workshop: Workshop) -> Any:
        """The package lists that `lock` was solved against, by their hashes. Raises NetworkFailed, ArtifactMismatch."""

    def lists_of(self, lock: Lock) -> str:
        """The name in the store's lists-v1 of what it keeps of the lists that `lock` was solved against."""

    def owner_in(self, stack: Stack) -> Callable[[str], str]:
        """What tells the package that brought a path of the stack, nothing if none did."""

    def states(self, archive: Any) -> tuple[ArchiveState, ...]:
        """Its signed identity, for the lock."""

    def base_artifacts(self, archive: Any, distro: Distro, requests: Sequence[PackageRequest]) -> tuple[Artifact, ...]:
        """What a base of the release consists of, with the versions that `requests` pin."""

    def check_names(self, archive: Any, requests: Sequence[PackageRequest], distribution: str) -> None:
        """Raises UnknownPackage for what does not exist, with near names."""

    def solve(
        self, archive: Any, store: Store, sandbox: BuildSandbox, requests: Sequence[PackageRequest]
    ) -> tuple[Artifact, ...]:
        """What to install above the sandbox's root. Raises Unsatisfiable."""

    def add_tree(self, store: Store, artifact: Artifact, read: Callable[[], bytes], work: str) -> None:
        """Have the artifact's unpacked tree in the store. Idempotent. Raises ArtifactHostile."""

    def unpack(self, store: Store, group: GroupWork, folder: str) -> list[Entry]:
        """Fill the empty `folder` with the group's unpacked layer. Raises BuildFailed."""

    def configure(
        self, store: Store, group: GroupWork, sandbox: BuildSandbox, log: str, on_step: Callable[[str], None]
    ) -> None:
        """Run the group's maintainer scripts in the sandbox, whose upper becomes the layer. Raises BuildFailed."""
