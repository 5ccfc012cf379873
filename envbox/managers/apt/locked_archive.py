"""An archive as a lock knows it: its lists by their hashes, from wherever they are still to be had."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from envbox.errors import ArtifactMismatch, NetworkFailed
from envbox.formats import compression, openpgp
from envbox.host.fetch import Download, NotThere
from envbox.managers.apt import lists
from envbox.managers.apt.archive import Archive, Part
from envbox.values import Digest

if TYPE_CHECKING:
    from envbox.lock import ArchiveIndex, ArchiveState, Lock
    from envbox.workshop import Workshop

_HINT = "run `envbox update` to solve against the archive as it is now"


def open_locked_archive(lock: Lock, workshop: Workshop) -> Archive:
    """The lists that `lock` was solved against: the store's, or fetched. What has the locked hash needs no signature.

    Raises NotThere where no source has them any more, NetworkFailed where one cannot be reached.
    """
    reporter = workshop.reporter
    reporter.start("archive", f"Reading the package lists of {lock.request.base} as they were locked")
    kept = lists.read(workshop.store, lock.archives, lock.architecture)
    parts = []
    for number, state in enumerate(lock.archives):
        reporter.detail("archive", state.suite)
        texts = kept[number] if kept else [_index(state, index, lock, workshop) for index in state.indexes]
        named = zip((index.component for index in state.indexes), texts, strict=True)
        parts.append(Part(state, _release(state, lock, workshop), tuple(named)))
    reporter.finish("archive")
    return Archive(lock.architecture, tuple(parts))


def _index(state: ArchiveState, index: ArchiveIndex, lock: Lock, workshop: Workshop) -> bytes:
    label = f"{state.suite} {index.path} of {_day(state)}"
    if not workshop.blobs.has(index.digest):
        places = workshop.sources_of(lock).index(state, index)
        try:
            workshop.fetch_one(Download(places, index.size, index.digest, label))
        except (NotThere, ArtifactMismatch) as error:  # under its name there is a newer one by now
            raise _gone(label) from error
    return compression.decompress(index.path, workshop.blobs.read(index.digest, label))


def _release(state: ArchiveState, lock: Lock, workshop: Workshop) -> bytes:
    """What the Release file said: from the store, or from whatever place has the same one."""
    label = f"the Release file of {state.suite} of {_day(state)}"
    if workshop.blobs.has(state.release):
        return workshop.blobs.read(state.release, label)
    failure: NetworkFailed | None = None
    for place in workshop.sources_of(lock).release(state):
        try:
            document = workshop.fetcher.get(place)
        except NotThere:
            continue
        except NetworkFailed as error:
            failure = failure or error
            continue
        for text in openpgp.readings(document):
            if Digest.of(text) == state.release:
                workshop.blobs.put(text)
                return text
    if failure:
        raise failure
    raise _gone(label)


def _gone(label: str) -> NotThere:
    return NotThere(f"{label} is no longer to be had: no place that was asked has it", hint=_HINT)


def _day(state: ArchiveState) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(state.date))
