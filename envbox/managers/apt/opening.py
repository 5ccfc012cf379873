"""Opens an archive as it is now, or as it was: each suite is fetched, and verified with its own keys alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envbox.distros import keys_of
from envbox.errors import NetworkFailed, SignatureInvalid, SpecInvalid
from envbox.formats import compression, openpgp
from envbox.formats import release as release_format
from envbox.host.fetch import Download, NotThere
from envbox.lock import ArchiveIndex, ArchiveState
from envbox.managers.apt.archive import Archive, Part
from envbox.sources import snapshot_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbox.distros import Distro
    from envbox.formats.openpgp import Verified
    from envbox.managers.manager import ArchiveRequest
    from envbox.spec import Base, Repository
    from envbox.values import Architecture
    from envbox.workshop import Workshop

_HINT = "the mirror may be out of date or tampered with; name another with `base = { name = ..., mirror = ... }`"
_SNAPSHOT_HINT = "name another day with `snapshot`, or another service with `snapshot-mirror`"
_REPOSITORY_HINT = "correct the [[repository]] in envbox.toml; if it has a new key, put that into the project"
_COMPRESSIONS = (".xz", ".gz", "")


@dataclass(frozen=True)
class _Suite:
    """A suite to open: where it is, who may sign it, and when it has to be valid (None: now)."""

    name: str
    folder: str
    url: str
    components: tuple[str, ...]
    keys: tuple[bytes, ...]
    hint: str
    fingerprint: str = ""
    """Of a repository: the one key that must have signed."""
    moment: int | None = None

    @property
    def release(self) -> str:
        return f"{self.url}/dists/{self.folder}/InRelease"


def open_archive(distro: Distro, wanted: ArchiveRequest, architecture: Architecture, workshop: Workshop) -> Archive:
    """Fetch and verify all suites of the base, and all repositories.

    Raises NetworkFailed, SignatureInvalid, ArtifactMismatch, SpecInvalid for a snapshot of the future.
    """
    _check_moment(wanted.base)
    reporter = workshop.reporter
    reporter.start("archive", f"Reading the package lists of {wanted.base}")
    parts = []
    for suite in (*_suites(distro, wanted), *(_of_repository(*item) for item in wanted.repositories)):
        reporter.detail("archive", suite.folder)
        parts.append(_open(suite, architecture, workshop))
    reporter.finish("archive")
    return Archive(architecture, tuple(parts))


def _check_moment(base: Base) -> None:
    if base.snapshot_time is not None and base.snapshot_time > time.time():
        raise SpecInvalid(
            f"envbox.toml: base.snapshot: {base.snapshot} has not passed yet: more may come to its archive",
            hint="name a day before today, or a moment that has passed; both are in UTC",
        )


def _suites(distro: Distro, wanted: ArchiveRequest) -> Iterator[_Suite]:
    base, moment = wanted.base, wanted.base.snapshot_time
    keys = (*keys_of(distro), *wanted.keys)
    for suite in distro.releases[base.release].suites:
        if moment is not None:
            url, hint = snapshot_url(distro, base.snapshot_mirror, moment, security=suite.security), _SNAPSHOT_HINT
        else:
            url, hint = (base.security_mirror or distro.security_url) if suite.security else base.mirror, _HINT
        yield _Suite(suite.name, suite.folder, url or distro.url, distro.components, keys, hint, moment=moment)


def _of_repository(repository: Repository, key: bytes) -> _Suite:
    return _Suite(
        repository.name,
        repository.suite,
        repository.url,
        repository.components,
        (key,),
        _REPOSITORY_HINT,
        repository.fingerprint,
    )


def _open(suite: _Suite, architecture: Architecture, workshop: Workshop) -> Part:
    try:
        document = workshop.fetcher.get(suite.release)
    except NotThere as error:
        raise NetworkFailed(f"{suite.release} is not there", hint=suite.hint) from error
    try:
        verified = openpgp.verify_clearsigned(document, suite.keys, suite.release, suite.fingerprint)
    except SignatureInvalid as error:
        raise SignatureInvalid(error.message, hint=suite.hint if suite.fingerprint else error.hint) from error
    release = release_format.parse(verified.text.decode("utf-8", "replace"))
    _check_validity(release, suite)
    indexes = tuple(_index(suite, component, release, architecture) for component in suite.components)
    texts = tuple((index.component, _fetch(suite, index, release.by_hash, workshop)) for index in indexes)
    return Part(_state(suite, release, verified, indexes, workshop), verified.text, texts)


def _state(
    suite: _Suite,
    release: release_format.Release,
    verified: Verified,
    indexes: tuple[ArchiveIndex, ...],
    workshop: Workshop,
) -> ArchiveState:
    return ArchiveState(
        name=suite.name,
        url=suite.url,
        suite=suite.folder,
        date=release.date,
        release=workshop.blobs.put(verified.text),
        signers=tuple(sorted(verified.signers)),
        indexes=indexes,
        key=verified.certificate if suite.fingerprint else (),
    )


def _check_validity(release: release_format.Release, suite: _Suite) -> None:
    if suite.folder not in {release.suite, release.codename}:
        named = release.codename or release.suite
        raise SignatureInvalid(f"{suite.release} is signed for {named}, not for {suite.folder}", hint=suite.hint)
    if suite.moment is not None and release.date > suite.moment:
        raise SignatureInvalid(
            f"{suite.release} is of {_day(release.date)}, which is after the snapshot asked for", hint=suite.hint
        )
    now = time.time() if suite.moment is None else suite.moment
    if release.valid_until is not None and release.valid_until < now:
        until = _day(release.valid_until)
        why = "its mirror is no longer kept up to date" if suite.moment is None else "a later state is kept from us"
        raise SignatureInvalid(f"{suite.release} expired on {until}: {why}", hint=suite.hint)


def _index(suite: _Suite, component: str, release: release_format.Release, architecture: Architecture) -> ArchiveIndex:
    path = f"{component}/binary-{architecture.value}/Packages"
    for suffix in _COMPRESSIONS:
        file = release.files.get(path + suffix)
        if file is not None:
            return ArchiveIndex(path + suffix, file.size, file.digest)
    raise NetworkFailed(f"{suite.release} lists no {path}", hint=suite.hint)


def _fetch(suite: _Suite, index: ArchiveIndex, by_hash: bool, workshop: Workshop) -> bytes:
    blobs = workshop.blobs
    if not blobs.has(index.digest):
        top = f"{suite.url}/dists/{suite.folder}"
        direct = f"{top}/{index.path}"
        hashed = f"{top}/{index.path.rpartition('/')[0]}/by-hash/SHA256/{index.digest.hex}"
        places = (hashed, direct) if by_hash else (direct,)
        workshop.fetch_one(Download(places, index.size, index.digest, f"{suite.folder} {index.path}"))
    return compression.decompress(index.path, blobs.read(index.digest, index.path))


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
