"""A signed Debian archive, fetched and verified: what there is to install from."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from envbox.errors import ArtifactMismatch, UnknownPackage
from envbox.formats import debian_version
from envbox.formats.packages_index import Package, PackagesIndex
from envbox.values import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbox.lock import ArchiveState
    from envbox.values import Architecture


@dataclass(frozen=True)
class Part:
    """One suite of an archive: its state, its signed text, and its package indexes as (component, text)."""

    state: ArchiveState
    release: bytes
    indexes: tuple[tuple[str, bytes], ...]

    @cached_property
    def packages(self) -> tuple[PackagesIndex, ...]:
        """The indexes, to be asked."""
        return tuple(PackagesIndex(text) for _, text in self.indexes)


@dataclass(frozen=True)
class Archive:
    """All suites of a release, for one architecture."""

    architecture: Architecture
    parts: tuple[Part, ...]

    @property
    def distribution(self) -> Archive:
        """The same without the repositories."""
        return Archive(self.architecture, tuple(part for part in self.parts if not part.state.key))

    def versions(self, name: str) -> list[tuple[Package, Part]]:
        """All versions of a package, the newest first."""
        found = [(package, part) for part in self.parts for index in part.packages for package in index.find(name)]
        return sorted(found, key=lambda item: debian_version.key(item[0].version), reverse=True)

    def providers(self, name: str) -> list[str]:
        """Names of the packages that provide the virtual package `name`, sorted."""
        return sorted({p for part in self.parts for index in part.packages for p, _ in index.providers(name)})

    def names(self) -> set[str]:
        """Names of all packages."""
        return {name for part in self.parts for index in part.packages for name in index.names()}

    def where(self, field: str, value: str) -> Iterator[str]:
        """Names of the packages with `value` in `field`."""
        for part in self.parts:
            for index in part.packages:
                for package in index.where(field, value):
                    yield package.name

    def artifact_at(self, part_name: str, filename: str) -> Artifact:
        """The package whose file is at `filename` of the part named. Raises UnknownPackage."""
        for part in self.parts:
            if part.state.name == part_name:
                for index in part.packages:
                    package = index.by_filename(filename)
                    if package:
                        return artifact_of(package, part)
        raise UnknownPackage(f"the solver chose {filename}, which the archive's index does not list")


def artifact_of(package: Package, part: Part) -> Artifact:
    """What to download to have the package. Raises ArtifactMismatch for a file outside the archive."""
    source = posixpath.normpath(package.filename)
    if source.startswith(("/", "../")):
        raise ArtifactMismatch(f"The index of {part.state.suite} places {package.name} at {package.filename!r}.")
    return Artifact(package.name, package.version, source, package.size, package.digest, archive=part.state.name)
