"""One request to a server, and what each failure of it means. The only module that uses the network."""

from __future__ import annotations

import contextlib
import email.utils
import os
import re
import ssl
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import urllib3
from urllib3 import exceptions as faults

from envbox.host.place import Again, Elsewhere, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHUNK = 256 << 10
_REDIRECTS = 10
_LONGEST_WAIT = 60.0  # whatever Retry-After asks for
_LONGEST_CONNECT = 15.0
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_BUNDLES = (  # for a Python built elsewhere, whose own place for certificates is not on this host
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def trusted_certificates() -> str:
    """The file of certificate authorities that this host trusts, a company's own among them; empty if there is none."""
    path = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or ""
    return path if os.path.isfile(path) else ""


class Connections:
    """Reused connections, at most `most` per host, each silent for at most `stall` seconds. Thread-safe."""

    def __init__(self, most: int, stall: float) -> None:
        self._most = most
        self._stall = stall
        self._proxies = urllib.request.getproxies()
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """All of them."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    @contextlib.contextmanager
    def open(self, url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to a GET, redirects followed; its status is 200, 206 or 416. Raises Again, Elsewhere."""
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
                raise Elsewhere(f"it redirects to {shown(following)}, which is not encrypted")
            url = following
        raise Elsewhere("it redirects without end")

    def _request(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        timeout = urllib3.Timeout(connect=min(self._stall, _LONGEST_CONNECT), read=self._stall)
        try:
            address = urlsplit(url)
            bare = address._replace(netloc=address.netloc.rpartition("@")[2])
            if address.scheme not in {"http", "https"} or not address.hostname:
                raise Elsewhere("only http and https addresses can be fetched")
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

    def chunks(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """The body as it comes. Raises Again, Elsewhere."""
        while True:
            try:
                chunk = response.read1(_CHUNK, decode_content=False)
            except (faults.HTTPError, OSError, ValueError) as error:
                raise self._plain(error) from error
            if not chunk:
                return
            yield chunk

    def _plain(self, error: BaseException) -> Again | Elsewhere:
        """What went wrong in plain words, sorted by whether asking again can help."""
        if isinstance(error, faults.ProxyError):
            inner = self._plain(error.original_error)
            inner.args = (f"the proxy does not work: {inner}",)
            return inner
        certificate = error.args[0] if isinstance(error, faults.SSLError) and error.args else None
        if isinstance(certificate, ssl.SSLCertVerificationError):
            return Elsewhere(f"the certificate is not trusted here ({certificate.verify_message})")
        if isinstance(error, (faults.LocationValueError, ValueError)):
            return Elsewhere("the address is not well formed")
        reasons: dict[type[BaseException], str] = {
            faults.NameResolutionError: "the name cannot be looked up",
            faults.NewConnectionError: f"no connection ({_system_reason(error)})",
            faults.TimeoutError: f"no answer within {self._stall:g} seconds",
            faults.SSLError: "no encrypted connection could be agreed on",
        }
        reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), "the connection was cut")
        return Again(reason, lookup=isinstance(error, faults.NameResolutionError))

    def _manager(self, scheme: str, host: str) -> urllib3.PoolManager:
        proxy = self._proxies.get(scheme) or self._proxies.get("all", "")
        if proxy and urllib.request.proxy_bypass(host):
            proxy = ""
        with self._lock:
            if (scheme, proxy) not in self._managers:
                self._managers[scheme, proxy] = self._new_manager(scheme, proxy)
            return self._managers[scheme, proxy]

    def _new_manager(self, scheme: str, proxy: str) -> urllib3.PoolManager:
        settings: dict[str, Any] = {"maxsize": self._most, "block": True}
        if scheme == "https" or proxy.startswith("https:"):
            settings["ssl_context"] = _tls()
        if not proxy:
            return urllib3.PoolManager(**settings)
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        if not proxy.startswith(("http:", "https:")):
            raise Elsewhere(f"envbox cannot use a proxy of this kind: {shown(proxy)}")
        login = {f"Proxy-{name}": value for name, value in _login(proxy).items()}
        return urllib3.ProxyManager(shown(proxy), proxy_headers=login, **settings)


def interrupt(response: urllib3.BaseHTTPResponse) -> None:
    """Wake whoever reads from it in another thread."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        response.shutdown()


def range_start(response: urllib3.BaseHTTPResponse) -> int:
    """The offset at which a partial answer begins, -1 if it does not say."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status in {200, 206, 416}:
        return
    answer = f"the server answered {status} {response.reason or ''}".rstrip()
    if status in _BUSY:
        raise Again(answer, wait=_retry_after(response.headers.get("Retry-After", "")))
    raise Elsewhere(answer, gone=status in {404, 410})


def _retry_after(value: str) -> float:
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            seconds = 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT)


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
