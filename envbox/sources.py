"""Where a file that a lock names may be had, in the order of `sources`. Addresses alone: who asks checks the bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envbox.distros import DISTROS

if TYPE_CHECKING:
    from collections.abc import Callable

    from envbox.lock import ArchiveIndex, ArchiveState, Lock
    from envbox.values import Artifact, Digest

MIRROR = "mirror"
SNAPSHOT = "snapshot"
DEFAULT = (MIRROR, SNAPSHOT)

_HOUR = 3600
# dak keeps a file for a day and a half after the last index that names it: a day later all are still there.
_ALL_THERE = (24 * _HOUR,)
# Dumps of a snapshot archive are some hours apart, and so are Release files: one of these shows this Release.
_SAME_RELEASE = tuple(hours * _HOUR for hours in (2, 5, 1, 8, 12))


@dataclass(frozen=True)
class Sources:
    """The addresses that `names` (`mirror`, `snapshot`, the URL of a cache) mean for the files of a lock."""

    names: tuple[str, ...] = DEFAULT
    lock: Lock | None = None

    def artifact(self, artifact: Artifact) -> tuple[str, ...]:
        """Of an artifact. One of no archive has its own address, which is taken for its mirror."""
        if not artifact.archive:
            return self._addresses(artifact.digest, lambda name: (artifact.source,) if name == MIRROR else ())
        state = self._state(artifact.archive)
        return self._addresses(
            artifact.digest, lambda name: _below(self._archives(name, state, _ALL_THERE), (artifact.source,))
        )

    def index(self, state: ArchiveState, index: ArchiveIndex) -> tuple[str, ...]:
        """Of an archive's package index: by its hash and, while the archive has no newer one, by its name."""
        folder = index.path.rpartition("/")[0]
        paths = (f"{folder}/by-hash/SHA256/{index.digest.hex}", index.path)
        return self._in_suite(index.digest, state, paths)

    def release(self, state: ArchiveState) -> tuple[str, ...]:
        """Of an archive's InRelease or, in a cache, of what it says."""
        return self._in_suite(state.release, state, ("InRelease",))

    def _in_suite(self, digest: Digest, state: ArchiveState, paths: tuple[str, ...]) -> tuple[str, ...]:
        inside = tuple(f"dists/{state.suite}/{path}" for path in paths)
        return self._addresses(digest, lambda name: _below(self._archives(name, state, _SAME_RELEASE), inside))

    def _addresses(self, digest: Digest, known: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        """`known` tells what a source that is no cache has."""
        found: list[str] = []
        for name in self.names:
            cached = name not in {MIRROR, SNAPSHOT}
            found += [f"{name}/blobs/sha256/{digest.hex}"] if cached else known(name)
        return tuple(dict.fromkeys(found))

    def _archives(self, name: str, state: ArchiveState, ages: tuple[int, ...]) -> tuple[str, ...]:
        """URLs of the archive of `state`: the mirror's, or the snapshots' so many seconds after the state."""
        if name == MIRROR:
            return (state.url,)
        assert self.lock, "only a lock has archives"
        request = self.lock.request
        distro_name, _, release = request.base.partition(":")
        distro = DISTROS[distro_name]
        suite = next((suite for suite in distro.releases[release].suites if suite.name == state.name), None)
        if suite is None or request.key:
            return ()  # not the distribution's own: its service has no such files, and need not hear their names
        folder = distro.snapshot_security_folder if suite.security else distro.snapshot_folder
        dumps = (f"{distro.snapshot_url}/{folder}/{_stamp(state.date + age)}" for age in ages)
        return (*dumps, distro.old_security_url if suite.security else distro.old_url)

    def _state(self, name: str) -> ArchiveState:
        assert self.lock, "an artifact of an archive comes from a lock"
        return next(state for state in self.lock.archives if state.name == name)


def _below(folders: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/{path}" for folder in folders for path in paths)


def _stamp(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
