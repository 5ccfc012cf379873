"""Downloads by hash, from one place after another. What arrives is what was promised, or an error tells."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from functools import partial as bound
from typing import TYPE_CHECKING, TypeVar

from envbox.errors import ArtifactMismatch, NetworkFailed
from envbox.host import local
from envbox.host.crew import Cancellation, Crew
from envbox.host.hosts import Hosts
from envbox.host.partial import CutShort, Partial, WrongBytes
from envbox.host.place import Again, Elsewhere, LocalFile, Place, host_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envbox.host.connection import Connections
    from envbox.report import Reporter
    from envbox.values import Digest

_LOOKUPS = 4  # attempts at a name that cannot be looked up, so that a machine without network is told soon
_HEADWAY = 1 << 20  # bytes after which a cut connection does not count as one more failed attempt
_NETWORK_HINT = "check the network, and the proxy if http_proxy or https_proxy is set; then run the same command again"
_GONE_HINT = (
    "the archive has moved on: run `envbox update` to lock what it holds now, or name one of `sources` that has it"
)
_MISMATCH_HINT = "an archive in the middle of an update mends itself soon; if this stays, run `envbox update`"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Download:
    """One file: places to try in order, what it must be (`size` -1: not known), its name for people."""

    places: tuple[Place, ...]
    size: int
    digest: Digest
    label: str


class NotThere(NetworkFailed):
    """Every place was reached, and none has the file."""


class Fetcher:
    """Thread-safe downloads over reused connections, at most `connections` per host. A context manager.

    `attempts` at each place, `backoff` seconds (doubling) between them, `stall` seconds of silence at most. A host that
    failed after all of them is asked last from then on, and one that asked for a pause gets it from all threads.
    """

    def __init__(self, *, connections: int = 6, attempts: int = 5, stall: float = 30.0, backoff: float = 0.5) -> None:
        self._at_once = connections
        self._attempts = attempts
        self._backoff = backoff
        self._stall = stall
        self._made: Connections | None = None
        self._making = threading.Lock()
        self._hosts = Hosts()

    def __enter__(self) -> Fetcher:  # noqa: PYI034 - Self is newer than Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        if self._made:
            self._made.close()

    @property
    def _connections(self) -> Connections:
        # Imported here: a command that finds everything in the store would pay 40 ms for it.
        from envbox.host.connection import Connections

        with self._making:
            self._made = self._made or Connections(self._at_once, self._stall)
            return self._made

    def get(self, place: Place, *, limit: int = 64 << 20, headers: Mapping[str, str] | None = None) -> bytes:
        """A whole small document. Raises NotThere where the place has none, NetworkFailed otherwise."""
        cancellation = Cancellation()
        try:
            if isinstance(place, LocalFile):
                return local.read(place, limit)
            read = bound(self._document, place, limit, headers or {}, cancellation)
            return self._persist(place, cancellation, read, int)
        except Elsewhere as failure:
            raise _network_failure(shown(place), [(place, failure)]) from failure.__cause__

    def download(
        self,
        what: Download,
        path: str,
        progress: Callable[[int], None],
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Put exactly the promised bytes at `path`, going on from what an earlier attempt left there.

        `progress` is told the bytes as they come, and a negative number where some had to be thrown away; `note` is
        told of a place that has other bytes, if another one has the right ones.
        Raises NotThere, NetworkFailed, ArtifactMismatch or StoreFailed. The file is not synced.
        """
        self._download(what, path, Watch(progress, note), Cancellation())

    def download_all(
        self,
        work: Sequence[tuple[Download, str]],
        reporter: Reporter,
        done: Callable[[Download, str], None],
    ) -> None:
        """Download all of it, each to its path, and call `done` from some worker thread as each is there.

        The first failure, of a download or of `done`, stops the rest and is raised; KeyboardInterrupt too.
        """
        if not work:
            return
        watch = Watch(bound(reporter.advance, "download"), reporter.note)

        def fetch(item: tuple[Download, str], cancellation: Cancellation) -> None:
            reporter.detail("download", item[0].label)
            self._download(*item, watch, cancellation)

        sizes = [what.size for what, _ in work]
        reporter.start("download", "Downloading", sum(sizes) if min(sizes) >= 0 else None)
        Crew(work, fetch, lambda item: done(*item)).run(min(self._at_once, len(work)))
        reporter.finish("download")

    # One file, from the first place that has it.

    def _download(self, what: Download, path: str, watch: Watch, cancellation: Cancellation) -> None:
        failures: list[tuple[Place, Elsewhere | WrongBytes]] = []
        with Partial.open(path, what.size, what.digest, watch.progress, cancellation.sleep) as partial:
            if partial.complete():
                return
            for place in self._hosts.in_order(what.places):
                failure = self._download_from(place, partial, cancellation)
                if failure is None:
                    watch.tell(what.label, [other for other, found in failures if isinstance(found, WrongBytes)])
                    return
                failures.append((place, failure))
        for place, failure in failures:
            if isinstance(failure, WrongBytes):
                raise _mismatch(what, place, failure)
        raise _network_failure(what.label, failures)

    def _download_from(
        self, place: Place, partial: Partial, cancellation: Cancellation
    ) -> Elsewhere | WrongBytes | None:
        if isinstance(place, LocalFile):
            attempt: Callable[[], None] = bound(local.copy, place, partial, cancellation.check)
        else:
            attempt = bound(self._attempt, place, partial, cancellation)
        try:
            try:
                self._persist(place, cancellation, attempt, lambda: partial.farthest)
            except WrongBytes:  # which may come from going on with a bad partial download
                partial.restart()
                self._persist(place, cancellation, attempt, lambda: partial.farthest)
        except (WrongBytes, Elsewhere) as failure:
            return failure
        return None

    def _attempt(self, url: str, partial: Partial, cancellation: Cancellation) -> None:
        from envbox.host.connection import interrupt, range_start

        self._hosts.wait(url, cancellation)
        headers = {"Range": f"bytes={partial.offset}-"} if partial.offset else {}
        with self._connections.open(url, headers) as response:
            resumed = response.status == 206
            if response.status == 416 or (resumed and range_start(response) != partial.offset):
                partial.restart()
                raise Again("the server cannot resume the download")
            length = response.headers.get("Content-Length", "")
            if length.isdecimal():
                partial.expect(int(length) + (partial.offset if resumed else 0))
            if not resumed:
                partial.restart()
            with cancellation.waking(bound(interrupt, response)):
                for chunk in self._connections.chunks(response):
                    cancellation.check()
                    partial.write(chunk)
            cancellation.check()
        try:
            partial.verify(framed=bool(length) or "Transfer-Encoding" in response.headers)
        except CutShort:
            raise Again("the connection was cut") from None

    def _document(self, url: str, limit: int, headers: Mapping[str, str], cancellation: Cancellation) -> bytes:
        self._hosts.wait(url, cancellation)
        body = bytearray()
        with self._connections.open(url, headers) as response:
            for chunk in self._connections.chunks(response):
                body += chunk
                if len(body) > limit:
                    raise Elsewhere(f"it is larger than the {limit} bytes that such a document may have")
        return bytes(body)

    def _persist(
        self, place: Place, cancellation: Cancellation, attempt: Callable[[], Result], farthest: Callable[[], int]
    ) -> Result:
        """Repeat `attempt` while that makes sense; one that made headway is not held against the server."""
        failed = 0
        while True:
            before = farthest()
            try:
                result = attempt()
            except Again as failure:
                failed = 1 if farthest() - before >= _HEADWAY else failed + 1
                if failed >= (min(self._attempts, _LOOKUPS) if failure.lookup else self._attempts):
                    self._hosts.note(place, failing=True)
                    raise Elsewhere(str(failure)) from failure.__cause__
                self._hosts.pause(place, failure.wait)
                pause = self._backoff * 2 ** (failed - 1) * (0.5 if failure.lookup else 1.0)
                cancellation.sleep(max(pause * random.uniform(0.7, 1.3), failure.wait))  # noqa: S311
            else:
                self._hosts.note(place, failing=False)
                return result


@dataclass(frozen=True)
class Watch:
    """Who is told of a download: how many bytes came, and what is worth a sentence."""

    progress: Callable[[int], None]
    note: Callable[[str], None]

    def tell(self, label: str, wrong: Sequence[Place]) -> None:
        """Of places that had other bytes than the one that was used in the end."""
        for place in wrong:
            self.note(f"{label}: other bytes than promised at {shown(place)}; they were refused, and had elsewhere")


def _mismatch(what: Download, place: Place, found: WrongBytes) -> ArtifactMismatch:
    expected = f"{what.size} bytes with {what.digest}" if what.size >= 0 else str(what.digest)
    return ArtifactMismatch(
        f"{what.label}: other bytes than promised at {shown(place)}\n  expected {expected}\n  found    {found}",
        hint=_MISMATCH_HINT,
    )


def _network_failure(label: str, failures: Sequence[tuple[Place, Exception]]) -> NetworkFailed:
    reasons = {host_of(place) or shown(place): failure for place, failure in failures}
    hosts = ", ".join(reasons)
    if failures and all(isinstance(failure, Elsewhere) and failure.gone for _, failure in failures):
        return NotThere(f"{label} is not, or no longer, at {hosts}", hint=_GONE_HINT)
    if len(reasons) > 1:
        lines = [f"  {host}: {reason}" for host, reason in reasons.items()]
        return NetworkFailed("\n".join([f"cannot download {label} from any place:", *lines]), hint=_NETWORK_HINT)
    reason = next(iter(reasons.values()), "no place that may have it is known")
    return NetworkFailed(f"cannot download {label} from {hosts}: {reason}", hint=_NETWORK_HINT)
