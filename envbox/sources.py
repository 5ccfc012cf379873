"""Where a file that a lock names may be had, in the order of `sources`. Places alone: who asks checks the bytes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envbox.distros import DISTROS
from envbox.errors import SpecInvalid
from envbox.host.place import LocalFile
from envbox.spec import DEFAULT_SOURCES, source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from envbox.distros import Distro
    from envbox.host.place import Place
    from envbox.lock import ArchiveIndex, ArchiveState, Lock
    from envbox.values import Artifact, Digest

VARIABLE = "ENVBOX_SOURCES"
MIRROR, SNAPSHOT = DEFAULT_SOURCES

_HOUR = 3600
# dak keeps a file for a day and a half after the last index that names it: a day later all are still there.
_ALL_THERE = (24 * _HOUR,)
# Dumps of a snapshot archive are some hours apart, and so are Release files: one of these shows this Release.
_SAME_RELEASE = tuple(hours * _HOUR for hours in (2, 5, 1, 8, 12))


def configured(names: Iterable[str]) -> tuple[str, ...]:
    """Sources of this host, then `names`. Raises SpecInvalid for what is no source."""
    try:
        own = [source(text) for text in os.environ.get(VARIABLE, "").split()]
    except ValueError as error:
        raise SpecInvalid(f"{VARIABLE}: {error}", hint=f"correct the environment variable {VARIABLE}") from None
    return tuple(dict.fromkeys((*own, *names)))


def stores(names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that are other stores on this host."""
    return tuple(name for name in names if name.startswith("/"))


@dataclass(frozen=True)
class Sources:
    """The places that `names` (`mirror`, `snapshot`, the URL of a cache, a store's path) mean for a lock's files."""

    names: tuple[str, ...] = DEFAULT_SOURCES
    lock: Lock | None = None

    def artifact(self, artifact: Artifact) -> tuple[Place, ...]:
        """Of an artifact. One of no archive has its own address, which is taken for its mirror."""
        if not artifact.archive:
            return self._addresses(artifact.digest, lambda name: (artifact.source,) if name == MIRROR else ())
        state = self._state(artifact.archive)
        return self._addresses(
            artifact.digest, lambda name: _below(self._archives(name, state, _ALL_THERE), (artifact.source,))
        )

    def index(self, state: ArchiveState, index: ArchiveIndex) -> tuple[Place, ...]:
        """Of an archive's package index: by its hash and, while the archive has no newer one, by its name."""
        folder = index.path.rpartition("/")[0]
        paths = (f"{folder}/by-hash/SHA256/{index.digest.hex}", index.path)
        return self._in_suite(index.digest, state, paths)

    def release(self, state: ArchiveState) -> tuple[Place, ...]:
        """Of an archive's InRelease or, in a cache, of what it says."""
        return self._in_suite(state.release, state, ("InRelease",))

    def _in_suite(self, digest: Digest, state: ArchiveState, paths: tuple[str, ...]) -> tuple[Place, ...]:
        inside = tuple(f"dists/{state.suite}/{path}" for path in paths)
        return self._addresses(digest, lambda name: _below(self._archives(name, state, _SAME_RELEASE), inside))

    def _addresses(self, digest: Digest, known: Callable[[str], tuple[str, ...]]) -> tuple[Place, ...]:
        """`known` tells where a mirror or a snapshot service has it."""
        found: list[Place] = []
        for name in self.names:
            if name in {MIRROR, SNAPSHOT}:
                found += known(name)
            else:
                blob = f"{name}/blobs/sha256/{digest.hex}"
                found.append(LocalFile(blob) if name.startswith("/") else blob)
        return tuple(dict.fromkeys(found))

    def _archives(self, name: str, state: ArchiveState, ages: tuple[int, ...]) -> tuple[str, ...]:
        """URLs of the archive of `state`: the mirror's, or the snapshots' so many seconds after the state."""
        assert self.lock, "only a lock has archives"
        request = self.lock.request
        distro_name, _, release = request.base.partition(":")
        distro = DISTROS[distro_name]
        suite = next((suite for suite in distro.releases[release].suites if suite.name == state.name), None)
        if name == MIRROR:
            own = (request.security_mirror or distro.security_url) if suite and suite.security else request.mirror
            return (own or distro.url,) if suite and request.snapshot else (state.url,)
        if suite is None or (request.key and not request.snapshot_mirror):
            return ()  # not the distribution's own: its service has no such files, and need not hear their names
        if request.snapshot:
            return (state.url,)
        dumps = (
            snapshot_url(distro, request.snapshot_mirror, state.date + age, security=suite.security) for age in ages
        )
        old = () if request.snapshot_mirror else (distro.old_security_url if suite.security else distro.old_url,)
        return (*dumps, *old)

    def _state(self, name: str) -> ArchiveState:
        assert self.lock, "an artifact of an archive comes from a lock"
        return next(state for state in self.lock.archives if state.name == name)


def _below(folders: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/{path}" for folder in folders for path in paths)


def snapshot_url(distro: Distro, service: str, seconds: int, *, security: bool) -> str:
    """The main or the security archive as it was at a moment; no `service`: the distribution's own."""
    folder = distro.snapshot_security_folder if security else distro.snapshot_folder
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    return f"{service or distro.snapshot_url}/{folder}/{moment}"
