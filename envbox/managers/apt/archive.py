"""A signed Debian archive, fetched and verified: what there is to install from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from envbox.distros import keys_of
from envbox.errors import NetworkFailed, SignatureInvalid, UnknownPackage
from envbox.formats import compression, debian_version, openpgp
from envbox.formats import release as release_format
from envbox.formats.packages_index import Package, PackagesIndex
from envbox.host.fetch import Download, NotThere
from envbox.lock import ArchiveIndex, ArchiveState
from envbox.values import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from envbox.distros import Distro, Suite
    from envbox.spec import Base
    from envbox.values import Architecture
    from envbox.workshop import Workshop

_HINT = "the mirror may be out of date or tampered with; name another with `base = { name = ..., mirror = ... }`"


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
    """What to download to have the package."""
    return Artifact(
        package.name, package.version, package.filename, package.size, package.digest, archive=part.state.name
    )


def open_archive(
    distro: Distro,
    base: Base,
    architecture: Architecture,
    extra_keys: Sequence[bytes],
    workshop: Workshop,
) -> Archive:
    """Fetch and verify all suites of `base`. Raises NetworkFailed, SignatureInvalid, ArtifactMismatch."""
    keys = (*keys_of(distro), *extra_keys)
    reporter = workshop.reporter
    reporter.start("archive", f"Reading the package lists of {base}")
    parts = []
    for suite in distro.releases[base.release].suites:
        url = (base.security_mirror or distro.security_url) if suite.security else (base.mirror or distro.url)
        reporter.detail("archive", suite.folder)
        parts.append(_open_part(_Place(distro, suite, url.rstrip("/"), architecture), keys, workshop))
    reporter.finish("archive")
    return Archive(architecture, tuple(parts))


@dataclass(frozen=True)
class _Place:
    distro: Distro
    suite: Suite
    url: str
    architecture: Architecture

    @property
    def folder(self) -> str:
        return f"{self.url}/dists/{self.suite.folder}"


def _open_part(place: _Place, keys: Sequence[bytes], workshop: Workshop) -> Part:
    where = f"{place.folder}/InRelease"
    try:
        document = workshop.fetcher.get(where)
    except NotThere as error:
        raise NetworkFailed(f"{where} is not there: it is no mirror of {place.suite.folder}", hint=_HINT) from error
    verified = openpgp.verify_clearsigned(document, keys, where)
    release = release_format.parse(verified.text.decode("utf-8", "replace"))
    _check_validity(release, place, where)
    indexes = []
    texts = []
    for component in place.distro.components:
        path = f"{component}/binary-{place.architecture.value}/Packages.xz"
        file = release.files.get(path)
        if file is None:
            raise NetworkFailed(f"{where} lists no {path}", hint=_HINT)
        index = ArchiveIndex(path, file.size, file.digest)
        indexes.append(index)
        texts.append((component, _fetch_index(place, index, release.by_hash, workshop)))
    state = ArchiveState(
        name=place.suite.name,
        url=place.url,
        suite=place.suite.folder,
        date=release.date,
        release=workshop.blobs.put(verified.text),
        signers=tuple(sorted(verified.signers)),
        indexes=tuple(indexes),
    )
    return Part(state, verified.text, tuple(texts))


def _check_validity(release: release_format.Release, place: _Place, where: str) -> None:
    if place.suite.folder not in {release.suite, release.codename}:
        raise SignatureInvalid(
            f"{where} is signed for {release.codename or release.suite}, not for {place.suite.folder}",
            hint=_HINT,
        )
    if release.valid_until is not None and release.valid_until < time.time():
        until = time.strftime("%Y-%m-%d", time.gmtime(release.valid_until))
        raise SignatureInvalid(f"{where} expired on {until}: its mirror is no longer kept up to date", hint=_HINT)


def _fetch_index(place: _Place, index: ArchiveIndex, by_hash: bool, workshop: Workshop) -> bytes:
    blobs = workshop.blobs
    if not blobs.has(index.digest):
        folder = index.path.rpartition("/")[0]
        direct = f"{place.folder}/{index.path}"
        hashed = f"{place.folder}/{folder}/by-hash/SHA256/{index.digest.hex}"
        urls = (hashed, direct) if by_hash else (direct,)
        workshop.fetch_one(Download(urls, index.size, index.digest, f"{place.suite.folder} {index.path}"))
    return compression.decompress(index.path, blobs.read(index.digest, index.path))
