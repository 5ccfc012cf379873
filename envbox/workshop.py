"""What every stage that does something needs: the store, the network and somebody to tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from envbox.host.fetch import Download, Fetcher
from envbox.report import Reporter, Silent
from envbox.sources import Sources
from envbox.spec import DEFAULT_SOURCES
from envbox.store.blobs import Blobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from envbox.lock import Lock
    from envbox.store.store import Store
    from envbox.values import Artifact


@dataclass(frozen=True)
class Workshop:
    """Where and with what environments are made. Shared by threads."""

    store: Store
    fetcher: Fetcher = field(default_factory=Fetcher)
    reporter: Reporter = field(default_factory=Silent)
    sources: tuple[str, ...] = DEFAULT_SOURCES
    """Where to look for what has a hash, in this order: `mirror`, `snapshot`, the URL of a cache."""

    @cached_property
    def blobs(self) -> Blobs:
        """The store's artifacts."""
        return Blobs(self.store)

    def fetch(self, artifacts: Iterable[Artifact], lock: Lock | None, done: Callable[[Artifact], None]) -> None:
        """Have every artifact in the store; those of an archive come from `lock`. `done` is called, from any thread.

        Raises NetworkFailed, ArtifactMismatch, StoreFailed.
        """
        wanted = {}
        sources = self.sources_of(lock)
        for artifact in artifacts:
            if self.blobs.has(artifact.digest):
                done(artifact)
            else:
                download = Download(
                    sources.artifact(artifact),
                    artifact.size,
                    artifact.digest,
                    f"{artifact.name} {artifact.version}",
                )
                wanted[artifact.digest] = (artifact, download)

        def arrived(download: Download, _path: str) -> None:
            self.blobs.commit(download.digest)
            done(wanted[download.digest][0])

        if wanted:
            work = [(download, self.blobs.partial(download.digest)) for _, download in wanted.values()]
            self.fetcher.download_all(work, self.reporter, arrived)

    def fetch_one(self, what: Download) -> None:
        """Have one more file in the store. Raises NotThere, NetworkFailed, ArtifactMismatch, StoreFailed."""
        self.fetcher.download(what, self.blobs.partial(what.digest), lambda _amount: None)
        self.blobs.commit(what.digest)

    def sources_of(self, lock: Lock | None) -> Sources:
        """Where the files of `lock` are looked for."""
        return Sources(self.sources, lock)
