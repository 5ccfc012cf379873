"""What every stage that does something needs: the store, the network and somebody to tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from envbox.host.fetch import Download, Fetcher
from envbox.report import Reporter, Silent
from envbox.store.blobs import Blobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from envbox.store.store import Store
    from envbox.values import Artifact


@dataclass(frozen=True)
class Workshop:
    """Where and with what environments are made. Shared by threads."""

    store: Store
    fetcher: Fetcher = field(default_factory=Fetcher)
    reporter: Reporter = field(default_factory=Silent)

    @cached_property
    def blobs(self) -> Blobs:
        """The store's artifacts."""
        return Blobs(self.store)

    def fetch(
        self, artifacts: Iterable[Artifact], archives: Mapping[str, str], done: Callable[[Artifact], None]
    ) -> None:
        """Have every artifact in the store. `archives` are URLs by name; `done` is called, from any thread, for each.

        Raises NetworkFailed, ArtifactMismatch, StoreFailed.
        """
        wanted = {}
        for artifact in artifacts:
            if self.blobs.has(artifact.digest):
                done(artifact)
            else:
                download = Download(
                    (url_of(artifact, archives),),
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


def url_of(artifact: Artifact, archives: Mapping[str, str]) -> str:
    """Where an artifact is fetched from."""
    return f"{archives[artifact.archive]}/{artifact.source}" if artifact.archive else artifact.source
