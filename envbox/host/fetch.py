"""Downloads: the only module that uses the network. What arrives is what was promised, or an error tells."""

from __future__ import annotations

import contextlib
import email.utils
import os
import random
import re
import ssl
import threading
import time
import urllib.request
from dataclasses import dataclass
from functools import partial as bound
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import urllib3
from urllib3 import exceptions as faults

from envbox.errors import ArtifactMismatch, NetworkFailed
from envbox.host.crew import Cancellation, Crew
from envbox.host.partial import CutShort, Partial, WrongBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from envbox.report import Reporter
    from envbox.values import Digest

_CHUNK = 256 << 10
_REDIRECTS = 10
_LONGEST_WAIT = 60.0  # whatever Retry-After asks for
_LONGEST_CONNECT = 15.0
_LOOKUPS = 4  # attempts at a name that cannot be looked up, so that a machine without network is told soon
_HEADWAY = 1 << 20  # bytes after which a cut connection does not count as one more failed attempt
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_BUNDLES = (  # for a Python built elsewhere, whose own place for certificates is not on this host
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_NETWORK_HINT = "check the network, and the proxy if http_proxy or https_proxy is set; then run the same command again"
_GONE_HINT = "the archive has moved on: run `envbox lock` to lock what it holds now"
_MISMATCH_HINT = "an archive in the middle of an update mends itself soon; if this stays, run `envbox lock`"

Result = TypeVar("Result")


def trusted_certificates() -> str:
    """The file of certificate authorities that this host trusts, a company's own among them; empty if there is none."""
    path = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or ""
    return path if os.path.isfile(path) else ""


@dataclass(frozen=True)
class Download:
    """One file: places to try in order, what it must be (`size` -1: not known), its name for people."""

    urls: tuple[str, ...]
    size: int
    digest: Digest
    label: str


class NotThere(NetworkFailed):
    """Every place was reached, and none has the file."""


class _Again(Exception):
    """Worth another attempt at the same place; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, *, wait: float = 0.0, lookup: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.lookup = lookup


class _Elsewhere(Exception):
    """No use asking this place again; `gone` if all that is wrong is that it has no such file."""

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


class Fetcher:
    """Thread-safe downloads over reused connections, at most `connections` per host. A context manager.

    `attempts` at each place, `backoff` seconds (doubling) between them, `stall` seconds of silence at most.
    """

    def __init__(self, *, connections: int = 6, attempts: int = 5, stall: float = 30.0, backoff: float = 0.5) -> None:
        self._connections = connections
        self._attempts = attempts
        self._stall = stall
        self._backoff = backoff
        self._proxies = urllib.request.getproxies()
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Fetcher:  # noqa: PYI034 - Self is newer than Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def get(self, url: str, *, limit: int = 64 << 20, headers: Mapping[str, str] | None = None) -> bytes:
        """A whole small document. Raises NotThere where the server has none, NetworkFailed otherwise."""
        try:
            return self._persist(Cancellation(), lambda: self._document(url, limit, headers or {}), int)
        except _Elsewhere as failure:
            raise _network_failure((url,), _shown(url), [failure]) from failure.__cause__

    def download(self, what: Download, path: str, progress: Callable[[int], None]) -> None:
        """Put exactly the promised bytes at `path`, going on from what an earlier attempt left there.

        `progress` is told the bytes as they come, and a negative number where some had to be thrown away.
        Raises NotThere, NetworkFailed, ArtifactMismatch or StoreFailed. The file is not synced.
        """
        self._download(what, path, progress, Cancellation())

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

        def fetch(item: tuple[Download, str], cancellation: Cancellation) -> None:
            reporter.detail("download", item[0].label)
            self._download(*item, bound(reporter.advance, "download"), cancellation)

        sizes = [what.size for what, _ in work]
        reporter.start("download", "Downloading", sum(sizes) if min(sizes) >= 0 else None)
        Crew(work, fetch, lambda item: done(*item)).run(min(self._connections, len(work)))
        reporter.finish("download")

    # One file, from the first place that has it.

    def _download(self, what: Download, path: str, progress: Callable[[int], None], cancellation: Cancellation) -> None:
        failures: list[tuple[str, _Elsewhere | WrongBytes]] = []
        with Partial.open(path, what.size, what.digest, progress, cancellation.sleep) as partial:
            if partial.complete():
                return
            for url in what.urls:
                failure = self._download_from(url, partial, cancellation)
                if failure is None:
                    return
                failures.append((url, failure))
        for url, failure in failures:
            if isinstance(failure, WrongBytes):
                raise _mismatch(what, url, failure)
        raise _network_failure(what.urls, what.label, [failure for _, failure in failures])

    def _download_from(self, url: str, partial: Partial, cancellation: Cancellation) -> _Elsewhere | WrongBytes | None:
        attempt = bound(self._attempt, url, partial, cancellation)
        try:
            try:
                self._persist(cancellation, attempt, lambda: partial.farthest)
            except WrongBytes:  # which may come from going on with a bad partial download
                partial.restart()
                self._persist(cancellation, attempt, lambda: partial.farthest)
        except (WrongBytes, _Elsewhere) as failure:
            return failure
        return None

    def _attempt(self, url: str, partial: Partial, cancellation: Cancellation) -> None:
        cancellation.check()
        headers = {"Range": f"bytes={partial.offset}-"} if partial.offset else {}
        with self._open(url, headers) as response:
            resumed = response.status == 206
            if response.status == 416 or (resumed and _range_start(response) != partial.offset):
                partial.restart()
                raise _Again("the server cannot resume the download")
            length = response.headers.get("Content-Length", "")
            if length.isdecimal():
                partial.expect(int(length) + (partial.offset if resumed else 0))
            if not resumed:
                partial.restart()
            with cancellation.waking(bound(_interrupt, response)):
                for chunk in self._chunks(response):
                    cancellation.check()
                    partial.write(chunk)
            cancellation.check()
        try:
            partial.verify(framed=bool(length) or "Transfer-Encoding" in response.headers)
        except CutShort:
            raise _Again("the connection was cut") from None

    def _document(self, url: str, limit: int, headers: Mapping[str, str]) -> bytes:
        body = bytearray()
        with self._open(url, headers) as response:
            for chunk in self._chunks(response):
                body += chunk
                if len(body) > limit:
                    raise _Elsewhere(f"it is larger than the {limit} bytes that such a document may have")
        return bytes(body)

    def _persist(
        self, cancellation: Cancellation, attempt: Callable[[], Result], farthest: Callable[[], int]
    ) -> Result:
        """Repeat `attempt` while that makes sense; one that made headway is not held against the server."""
        failed = 0
        while True:
            before = farthest()
            try:
                return attempt()
            except _Again as failure:
                failed = 1 if farthest() - before >= _HEADWAY else failed + 1
                if failed >= (min(self._attempts, _LOOKUPS) if failure.lookup else self._attempts):
                    raise _Elsewhere(str(failure)) from failure.__cause__
                pause = self._backoff * 2 ** (failed - 1) * (0.5 if failure.lookup else 1.0)
                cancellation.sleep(max(pause * random.uniform(0.7, 1.3), failure.wait))  # noqa: S311

    # One request.

    @contextlib.contextmanager
    def _open(self, url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to a GET, redirects followed; its status is 200, 206 or 416."""
        for _ in range(_REDIRECTS):
            response = self._request(url, headers)
            try:
                target = response.get_redirect_location()
                if not target:
                    _check_status(response)
                    yield response
                    return
            finally:
                if response.length_remaining != 0:
                    response.close()
                response.release_conn()
            following = urljoin(url, target)
            if url.startswith("https:") and not following.startswith("https:"):
                raise _Elsewhere(f"it redirects to {_shown(following)}, which is not encrypted")
            url = following
        raise _Elsewhere("it redirects without end")

    def _request(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        timeout = urllib3.Timeout(connect=min(self._stall, _LONGEST_CONNECT), read=self._stall)
        try:
            address = urlsplit(url)
            bare = address._replace(netloc=address.netloc.rpartition("@")[2])
            if address.scheme not in {"http", "https"} or not address.hostname:
                raise _Elsewhere("only http and https addresses can be fetched")
            return self._manager(bare.scheme, bare.netloc).request(
                "GET",
                urlunsplit(bare),
                headers={"User-Agent": "envbox", "Accept-Encoding": "identity", **_login(url), **headers},
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except (faults.HTTPError, OSError, ValueError) as error:
            raise self._plain(error) from error

    def _chunks(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        while True:
            try:
                chunk = response.read1(_CHUNK, decode_content=False)
            except (faults.HTTPError, OSError, ValueError) as error:
                raise self._plain(error) from error
            if not chunk:
                return
            yield chunk

    def _plain(self, error: BaseException) -> _Again | _Elsewhere:
        """What went wrong in plain words, sorted by whether asking again can help."""
        if isinstance(error, faults.ProxyError):
            inner = self._plain(error.original_error)
            inner.args = (f"the proxy does not work: {inner}",)
            return inner
        certificate = error.args[0] if isinstance(error, faults.SSLError) and error.args else None
        if isinstance(certificate, ssl.SSLCertVerificationError):
            return _Elsewhere(f"the certificate is not trusted here ({certificate.verify_message})")
        if isinstance(error, (faults.LocationValueError, ValueError)):
            return _Elsewhere("the address is not well formed")
        reasons: dict[type[BaseException], str] = {
            faults.NameResolutionError: "the name cannot be looked up",
            faults.NewConnectionError: f"no connection ({_system_reason(error)})",
            faults.TimeoutError: f"no answer within {self._stall:g} seconds",
            faults.SSLError: "no encrypted connection could be agreed on",
        }
        reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), "the connection was cut")
        return _Again(reason, lookup=isinstance(error, faults.NameResolutionError))

    def _manager(self, scheme: str, host: str) -> urllib3.PoolManager:
        proxy = self._proxies.get(scheme) or self._proxies.get("all", "")
        if proxy and urllib.request.proxy_bypass(host):
            proxy = ""
        with self._lock:
            if (scheme, proxy) not in self._managers:
                self._managers[scheme, proxy] = self._new_manager(scheme, proxy)
            return self._managers[scheme, proxy]

    def _new_manager(self, scheme: str, proxy: str) -> urllib3.PoolManager:
        settings: dict[str, Any] = {"maxsize": self._connections, "block": True}
        if scheme == "https" or proxy.startswith("https:"):
            settings["ssl_context"] = _tls()
        if not proxy:
            return urllib3.PoolManager(**settings)
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        if not proxy.startswith(("http:", "https:")):
            raise _Elsewhere(f"envbox cannot use a proxy of this kind: {_shown(proxy)}")
        login = {f"Proxy-{name}": value for name, value in _login(proxy).items()}
        return urllib3.ProxyManager(_shown(proxy), proxy_headers=login, **settings)


def _interrupt(response: urllib3.BaseHTTPResponse) -> None:
    """Wake whoever reads from it in another thread."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        response.shutdown()


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status in {200, 206, 416}:
        return
    answer = f"the server answered {status} {response.reason or ''}".rstrip()
    if status in _BUSY:
        raise _Again(answer, wait=_retry_after(response.headers.get("Retry-After", "")))
    raise _Elsewhere(answer, gone=status in {404, 410})


def _retry_after(value: str) -> float:
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            seconds = 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _range_start(response: urllib3.BaseHTTPResponse) -> int:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _system_reason(error: BaseException) -> str:
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    return os.strerror(number) if number else "unreachable"


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    places = ssl.get_default_verify_paths()
    if not (places.cafile or places.capath):
        for bundle in filter(os.path.exists, _BUNDLES):
            context.load_verify_locations(bundle)
    return context


def _login(url: str) -> dict[str, str]:
    """The header for the user and password that an address may carry, for that address only."""
    address = urlsplit(url)
    if address.username is None:
        return {}
    return dict(urllib3.make_headers(basic_auth=f"{unquote(address.username)}:{unquote(address.password or '')}"))


def _shown(url: str) -> str:
    """The address without user and password."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _mismatch(what: Download, url: str, found: WrongBytes) -> ArtifactMismatch:
    expected = f"{what.size} bytes with {what.digest}" if what.size >= 0 else str(what.digest)
    return ArtifactMismatch(
        f"{what.label}: other bytes than promised at {_shown(url)}\n  expected {expected}\n  found    {found}",
        hint=_MISMATCH_HINT,
    )


def _network_failure(urls: Sequence[str], label: str, failures: Sequence[Exception]) -> NetworkFailed:
    hosts = ", ".join(dict.fromkeys(_shown(url).partition("://")[2].partition("/")[0] or url for url in urls))
    if failures and all(isinstance(failure, _Elsewhere) and failure.gone for failure in failures):
        return NotThere(f"{label} is not, or no longer, at {hosts}", hint=_GONE_HINT)
    reason = failures[-1] if failures else "no place that may have it is known"
    return NetworkFailed(f"cannot download {label} from {hosts}: {reason}", hint=_NETWORK_HINT)
