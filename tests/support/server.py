"""A loopback HTTP server that serves a folder or a dict, and misbehaves as told.

    with Server({"/a": b"..."}) as server:
        server.fault("/a", status(503), truncate(after=100))   # the first request, the second; then all is well
        server.url + "/a"

It also answers requests made through it as a proxy, whatever host they name.
"""

from __future__ import annotations

import contextlib
import mimetypes
import os
import re
import socket
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

_JSON_INDEX = "application/vnd.pypi.simple.v1+json"


@dataclass
class Fault:
    """What to do instead of a proper answer, `times` times (-1: always). Made by the functions below."""

    kind: str
    times: int = 1
    after: int = 0
    code: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def truncate(after: int, times: int = 1) -> Fault:
    """Announce the whole body, close the connection after so many bytes of it."""
    return Fault("truncate", times, after)


def corrupt(times: int = 1) -> Fault:
    """The right number of bytes, one of them wrong."""
    return Fault("corrupt", times)


def stall(after: int = 0, times: int = 1) -> Fault:
    """Send so many bytes of the body, then nothing, with the connection left open."""
    return Fault("stall", times, after)


def silent(times: int = 1) -> Fault:
    """Accept the request and never answer."""
    return Fault("silent", times)


def status(code: int, times: int = 1, retry_after: str | float | None = None) -> Fault:
    """Answer with this status and a short body."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault("status", times, code=code, headers=headers)


def gone(times: int = -1) -> Fault:
    """404."""
    return Fault("status", times, code=404)


def redirect(location: str, code: int = 302, times: int = -1) -> Fault:
    """Send elsewhere."""
    return Fault("status", times, code=code, headers={"Location": location})


def slow(seconds: float, times: int = -1) -> Fault:
    """A proper answer whose body takes so long, in many small pieces."""
    return Fault("slow", times, seconds=seconds)


def endless(times: int = 1) -> Fault:
    """The body, and then more and more, with no length announced."""
    return Fault("endless", times)


def unframed(after: int | None = None, times: int = 1) -> Fault:
    """So many bytes of the body (None: all), no length announced: the end is where the connection closes."""
    return Fault("unframed", times, -1 if after is None else after)


def longer(times: int = 1) -> Fault:
    """A proper answer with a body that has one byte more."""
    return Fault("longer", times)


def hang_up(times: int = 1) -> Fault:
    """Close the connection in place of any answer."""
    return Fault("hang_up", times)


@dataclass(frozen=True)
class Request:
    """One that was received."""

    path: str
    range: str
    headers: Mapping[str, str]
    at: float


class Server:
    """A context manager. `requests` is the log; `ranges=False` makes it ignore Range."""

    def __init__(
        self,
        content: str | os.PathLike[str] | Mapping[str, bytes],
        *,
        ranges: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.content = content
        self.ranges = ranges
        self.requests: list[Request] = []
        self.connections = 0
        self.most_connections = 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self._faults: dict[str, list[Fault]] = {}
        self._listener = _Listener(self, tls)
        port = self._listener.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Server:  # noqa: PYI034 - Self is newer than Python 3.10
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.disconnect()
        self._listener.server_close()

    def fault(self, path: str, *faults: Fault) -> None:
        """What goes wrong at `path`, one after another; replaces what was planned. No faults: none any more."""
        with self.lock:
            self._faults[path] = list(faults)

    def count(self, path: str) -> int:
        """How often `path` was asked for."""
        with self.lock:
            return sum(request.path == path for request in self.requests)

    def next_fault(self, path: str) -> Fault | None:
        with self.lock:
            planned = self._faults.get(path, [])
            while planned and planned[0].times == 0:
                planned.pop(0)
            if not planned:
                return None
            if planned[0].times > 0:
                planned[0].times -= 1
            return planned[0]

    def body(self, path: str, accept: str) -> tuple[bytes, str] | None:
        """The bytes and the media type, or None. A folder is its index.html or, if asked for, index.json."""
        if not isinstance(self.content, (str, os.PathLike)):
            found = self.content.get(path)
            return None if found is None else (found, mimetypes.guess_type(path)[0] or "application/octet-stream")
        name = os.path.normpath(os.path.join(self.content, path.lstrip("/")))
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if os.path.isdir(name):
            json = _JSON_INDEX in accept and os.path.exists(f"{name}/index.json")
            name, kind = (f"{name}/index.json", _JSON_INDEX) if json else (f"{name}/index.html", "text/html")
        if not os.path.isfile(name):
            return None
        with open(name, "rb") as file:
            return file.read(), kind


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, owner: Server, tls: ssl.SSLContext | None) -> None:
        self.owner = owner
        self._sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.owner.lock:
            self._sockets.add(request)
            self.owner.connections += 1
            self.owner.most_connections = max(self.owner.most_connections, len(self._sockets))
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.owner.lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def disconnect(self) -> None:
        with self.owner.lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the plan."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def owner(self) -> Server:
        return cast("_Listener", self.server).owner

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in the base class
        """The log is `Server.requests`."""

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        asked = self.headers.get("Range", "")
        with self.owner.lock:
            self.owner.requests.append(
                Request(
                    path,
                    asked,
                    {name.title(): value for name, value in self.headers.items()},
                    time.monotonic(),
                )
            )
        fault = self.owner.next_fault(path)
        if fault and fault.kind in {"status", "silent", "hang_up"}:
            self._refuse(fault)
            return
        found = self.owner.body(path, self.headers.get("Accept", ""))
        if found is None:
            self._refuse(gone())
            return
        self._answer(*found, asked, fault)

    do_HEAD = do_GET  # noqa: N815 - the name that the base class calls

    def _refuse(self, fault: Fault) -> None:
        if fault.kind == "silent":
            self.owner.stopping.wait()
        if fault.kind in {"silent", "hang_up"}:
            self.close_connection = True
            return
        self.send_response(fault.code)
        for name, value in fault.headers.items():
            self.send_header(name, value)
        body = f"{fault.code}\n".encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self, body: bytes, kind: str, asked: str, fault: Fault | None) -> None:
        name = fault.kind if fault else ""
        if name == "corrupt" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if name == "longer":
            body += b"!"
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked) if self.owner.ranges else None
        first = int(match[1]) if match else 0
        last = min(int(match[2]), len(body) - 1) if match and match[2] else len(body) - 1
        if match and first >= len(body):
            self._refuse(Fault("status", code=416, headers={"Content-Range": f"bytes */{len(body)}"}))
            return
        self.send_response(206 if match else 200)
        self.send_header("Content-Type", kind)
        if match:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        if name in {"endless", "unframed"}:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if self.command != "HEAD":
            self._send(body[first : last + 1], fault)

    def _send(self, part: bytes, fault: Fault | None) -> None:
        if fault is None or fault.kind in {"corrupt", "longer"}:
            self.wfile.write(part)
        elif fault.kind == "slow":
            for start in range(0, len(part), len(part) // 20 + 1):
                if self.owner.stopping.wait(fault.seconds / 20):
                    break
                self.wfile.write(part[start : start + len(part) // 20 + 1])
        elif fault.kind == "endless":
            while not self.owner.stopping.is_set():
                self.wfile.write(part)
        else:
            self.wfile.write(part if fault.after < 0 else part[: fault.after])
            self.wfile.flush()
            if fault.kind == "stall":
                self.owner.stopping.wait()
            self.close_connection = True
