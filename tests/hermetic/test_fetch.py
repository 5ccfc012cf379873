"""Downloads against a server that misbehaves in every way that a mirror can."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import signal
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from envbox.errors import ArtifactMismatch, NetworkFailed, StoreFailed
from envbox.host.fetch import Download, Fetcher, NotThere
from envbox.report import Recording, Silent
from envbox.values import Digest
from tests.support import server as faulty
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BODY = random.Random(7).randbytes(300_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/file": BODY, "/other": BODY}) as running:
        yield running


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(attempts=4, stall=0.4, backoff=0.01) as made:
        yield made


def promise(*urls: str, body: bytes = BODY, size: int | None = None) -> Download:
    digest = Digest(hashlib.sha256(body).hexdigest())
    return Download(urls, len(body) if size is None else size, digest, "a_1.0_all.deb")


def nothing(_: Any) -> None:
    """Not interested in progress."""


def fetched(fetcher: Fetcher, tmp_path: Path, what: Download) -> tuple[bytes, int]:
    """The bytes, and the sum of all progress."""
    told: list[int] = []
    fetcher.download(what, str(tmp_path / "a"), told.append)
    return (tmp_path / "a").read_bytes(), sum(told)


@pytest.mark.parametrize(
    "plan",
    [
        [],
        [faulty.truncate(after=100_000)],
        [faulty.truncate(after=0), faulty.truncate(after=1)],
        [faulty.stall(after=5000)],
        [faulty.silent()],
        [faulty.hang_up(times=2)],
        [faulty.status(503, times=3)],
        [faulty.status(429, retry_after="0")],
        [faulty.unframed(after=1000), faulty.unframed()],
        [faulty.corrupt()],
        [faulty.longer()],
        [faulty.truncate(after=1000), faulty.corrupt()],
        [faulty.slow(0.6)],
        [faulty.status(502), faulty.stall(after=1), faulty.truncate(after=99)],
    ],
)
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [None, -1])
def test_a_fault_that_passes_is_overcome(
    plan: list[faulty.Fault], ranges: bool, size: int | None, server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.ranges = ranges
    server.fault("/file", *plan)
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file", size=size)) == (BODY, len(BODY))


def test_a_cut_download_goes_on_where_it_stopped(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.truncate(after=100_000), faulty.stall(after=50_000))
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file"))[0] == BODY
    assert [request.range for request in server.requests] == ["", "bytes=100000-", "bytes=150000-"]


def test_what_an_earlier_command_left_is_used(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY[:299_990])
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file")) == (BODY, len(BODY))
    assert server.requests[0].range == "bytes=299990-"


def test_a_finished_file_needs_no_network(tmp_path: Path, fetcher: Fetcher) -> None:
    (tmp_path / "a").write_bytes(BODY)
    assert fetched(fetcher, tmp_path, promise("http://nowhere.invalid/x")) == (BODY, len(BODY))


@pytest.mark.parametrize("left", [b"x" * 1000, BODY + b"!", b"x" * len(BODY), b"x" * (len(BODY) - 1)])
def test_a_bad_rest_of_an_earlier_download_is_thrown_away(
    left: bytes, server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(left)
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file")) == (BODY, len(BODY))


def test_an_empty_file_is_a_file(fetcher: Fetcher, tmp_path: Path) -> None:
    with Server({"/empty": b""}) as server:
        assert fetched(fetcher, tmp_path, promise(f"{server.url}/empty", body=b"")) == (b"", 0)


def test_wrong_bytes_everywhere_are_refused_and_not_kept(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.corrupt(times=-1))
    server.fault("/other", faulty.gone())
    with pytest.raises(ArtifactMismatch) as caught:
        fetched(fetcher, tmp_path, promise(f"{server.url}/file", f"{server.url}/other"))
    assert "a_1.0_all.deb" in caught.value.message
    assert f"{server.url}/file" in caught.value.message
    assert hashlib.sha256(BODY).hexdigest() in caught.value.message
    assert hashlib.sha256(BODY[:-1] + bytes([BODY[-1] ^ 1])).hexdigest() in caught.value.message
    assert (tmp_path / "a").read_bytes() == b""
    assert server.count("/file") == 2


def test_the_next_place_is_tried_after_wrong_bytes(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.corrupt(times=-1))
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file", f"{server.url}/other")) == (
        BODY,
        len(BODY),
    )


def test_a_body_of_another_length_is_refused_before_it_is_read(fetcher: Fetcher, tmp_path: Path) -> None:
    with Server({"/file": BODY * 100}) as server:
        with pytest.raises(ArtifactMismatch, match=f"found    {len(BODY) * 100} bytes"):
            fetched(fetcher, tmp_path, promise(f"{server.url}/file"))
        assert (tmp_path / "a").stat().st_size == 0


def test_an_endless_body_is_cut_at_the_promised_size(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.endless())
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file")) == (BODY, len(BODY))
    (tmp_path / "a").unlink()
    server.fault("/file", faulty.endless(times=-1))
    with pytest.raises(ArtifactMismatch, match=f"more than {len(BODY)} bytes"):
        fetched(fetcher, tmp_path, promise(f"{server.url}/file"))


def test_gone_everywhere_says_so(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"a_1\.0_all\.deb is not, or no longer, at 127\.0\.0\.1") as caught:
        fetched(fetcher, tmp_path, promise(f"{server.url}/nope", f"{server.url}/neither"))
    assert "envbox update" in caught.value.hint
    assert len(server.requests) == 2


def test_a_server_that_stays_busy_is_named_with_its_answer(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.status(503, times=-1))
    with pytest.raises(NetworkFailed, match=r"from 127\.0\.0\.1:\d+: the server answered 503 Service Unavailable"):
        fetched(fetcher, tmp_path, promise(f"{server.url}/file"))
    assert server.count("/file") == 4


def test_retry_after_is_honoured(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.status(429, retry_after=1))
    fetched(fetcher, tmp_path, promise(f"{server.url}/file"))
    assert server.requests[1].at - server.requests[0].at >= 1.0


def test_headway_is_not_counted_as_failure(fetcher: Fetcher, tmp_path: Path) -> None:
    body = BODY * 30
    with Server({"/big": body}) as server:
        server.fault("/big", faulty.truncate(after=1 << 20, times=8))
        assert fetched(fetcher, tmp_path, promise(f"{server.url}/big", body=body))[0] == body
        assert len(server.requests) == 9


def test_a_refused_connection_and_a_name_that_does_not_exist_are_told_in_plain_words(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NetworkFailed, match=r"no connection \(Connection refused\)") as caught:
            fetched(fetcher, tmp_path, promise(f"http://127.0.0.1:{port}/x"))
    assert "proxy" in caught.value.hint
    with pytest.raises(NetworkFailed, match=r"from nowhere\.invalid: the name cannot be looked up"):
        fetcher.get("http://nowhere.invalid/InRelease")


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "file:///etc/passwd", "http://", "http://[::1", "nonsense", "http://a:b/"]
)
def test_an_address_that_cannot_be_fetched_is_an_error_of_ours(url: str, fetcher: Fetcher) -> None:
    with pytest.raises(NetworkFailed, match=r"only http and https|not well formed"):
        fetcher.get(url)


def test_no_place_at_all_is_an_error_of_ours(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(NetworkFailed, match="no place"):
        fetched(fetcher, tmp_path, promise())


def test_a_document_is_fetched_whole_and_no_larger_than_allowed(server: Server, fetcher: Fetcher) -> None:
    server.fault("/file", faulty.truncate(after=10), faulty.status(500), faulty.redirect("/other", times=1))
    assert fetcher.get(f"{server.url}/file") == BODY
    with pytest.raises(NetworkFailed, match="larger than the 1000 bytes"):
        fetcher.get(f"{server.url}/file", limit=1000)
    with pytest.raises(NotThere):
        fetcher.get(f"{server.url}/nope")


def test_redirects_are_followed_but_not_for_ever(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.redirect("/other"))
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file"))[0] == BODY
    server.fault("/other", faulty.redirect("/file"))
    with pytest.raises(NetworkFailed, match="redirects without end"):
        fetcher.get(f"{server.url}/file")


def test_a_password_in_an_address_is_sent_there_and_nowhere_else_and_never_shown(
    server: Server, fetcher: Fetcher
) -> None:
    with Server({"/file": BODY}) as second:
        server.fault("/file", faulty.redirect(f"{second.url}/file"))
        assert fetcher.get(server.url.replace("//", "//me:se%20cret@") + "/file") == BODY
        assert server.requests[0].headers["Authorization"] == "Basic bWU6c2UgY3JldA=="
        assert "Authorization" not in second.requests[0].headers
    with pytest.raises(NetworkFailed) as caught:
        fetcher.get(server.url.replace("//", "//me:secret@") + "/nope")
    assert "secret" not in caught.value.message


def test_the_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:pass@"))
    monkeypatch.setenv("no_proxy", "localhost")
    with Fetcher() as fetcher:
        assert fetcher.get("http://mirror.invalid/file") == BODY
    assert server.requests[0].headers["Host"] == "mirror.invalid"
    assert server.requests[0].headers["Proxy-Authorization"] == "Basic bWU6cGFzcw=="


def test_no_proxy_is_respected(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://nowhere.invalid:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Fetcher() as fetcher:
        assert fetcher.get(f"{server.url}/file") == BODY


def test_a_proxy_that_does_not_work_is_named_as_the_reason(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "http://nowhere.invalid:1")
    with (
        Fetcher(backoff=0.01) as fetcher,
        pytest.raises(NetworkFailed, match="proxy does not work: the name"),
    ):
        fetcher.get(f"{server.url}/file")
    monkeypatch.setenv("http_proxy", "socks5://me:secret@127.0.0.1:1")
    with Fetcher() as fetcher, pytest.raises(NetworkFailed, match=r"proxy of this kind: socks5://127"):
        fetcher.get(f"{server.url}/file")


def test_certificates_are_checked_and_the_file_named_in_the_environment_is_honoured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = tmp_path / "pair.pem"
    pair.write_text(CERTIFICATE + KEY)
    (tmp_path / "certificate.pem").write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with Server({"/file": BODY}, tls=context) as server, Server({"/file": BODY}) as plain:
        with Fetcher() as fetcher, pytest.raises(NetworkFailed, match="certificate is not trusted"):
            fetcher.get(f"{server.url}/file")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        with Fetcher(stall=0.4, backoff=0.01) as fetcher:
            server.fault("/file", faulty.truncate(after=9), faulty.stall(after=99))
            assert fetcher.get(f"{server.url}/file") == BODY
            server.fault("/file", faulty.redirect(f"{plain.url}/file"))
            with pytest.raises(NetworkFailed, match="not encrypted"):
                fetcher.get(f"{server.url}/file")


def test_what_the_disk_does_not_take_is_told_and_gone_on_with_later(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    with (
        no_file_larger_than(100_000),
        pytest.raises(StoreFailed, match=r"cannot write .*File too large") as caught,
    ):
        fetched(fetcher, tmp_path, promise(f"{server.url}/file"))
    assert "ENVBOX_STORE" in caught.value.hint
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file"))[0] == BODY


def test_many_are_fetched_over_few_connections_and_each_is_handed_on_when_it_is_there(tmp_path: Path) -> None:
    bodies = {f"/{number}": BODY[number : number + 5000] for number in range(60)}
    seen: dict[str, bytes] = {}
    with Server(bodies) as server, Fetcher(connections=3, backoff=0.01, stall=0.4) as fetcher:
        for number in range(0, 60, 7):
            server.fault(f"/{number}", faulty.truncate(after=10), faulty.status(503))
        work = [(promise(server.url + path, body=body), str(tmp_path / path[1:])) for path, body in bodies.items()]
        reporter = Recording()

        def done(what: Download, path: str) -> None:
            with open(path, "rb") as file:
                seen[what.places[0].removeprefix(server.url)] = file.read()

        fetcher.download_all(work, reporter, done)
        assert seen == bodies
        assert server.most_connections <= 3
        assert server.connections <= 3 + 2 * 9  # one more for each fault
    assert reporter.events[0] == ("start", "download", "Downloading", 60 * 5000)
    assert sum(event[2] for event in reporter.events if event[0] == "advance") == 60 * 5000  # type: ignore[misc]
    assert reporter.events[-1] == ("finish", "download", "")


def test_the_first_error_ends_all_downloads_without_waiting_for_stalled_ones(tmp_path: Path) -> None:
    with Server({"/a": BODY, "/b": BODY, "/c": BODY}) as server, Fetcher(stall=60) as fetcher:
        server.fault("/a", faulty.stall(after=10, times=-1))
        server.fault("/b", faulty.stall(after=10, times=-1))
        work = [(promise(f"{server.url}/{name}"), str(tmp_path / name)) for name in ("a", "b", "nope", "c")]
        began = time.monotonic()
        with pytest.raises(NotThere):
            fetcher.download_all(work, Silent(), lambda *_: None)
        assert time.monotonic() - began < 3


def test_an_error_of_the_receiver_is_raised_and_no_receiver_is_left_running(tmp_path: Path) -> None:
    running = threading.Semaphore(2)

    def done(what: Download, _: str) -> None:
        if what.places[0].endswith("/a"):
            raise ArtifactMismatch("not a .deb")
        with running:
            time.sleep(0.5)

    with Server({"/a": BODY, "/b": BODY, "/c": BODY}) as server, Fetcher() as fetcher:
        server.fault("/a", faulty.slow(0.2))
        work = [(promise(f"{server.url}/{name}"), str(tmp_path / name)) for name in "abc"]
        with pytest.raises(ArtifactMismatch, match=r"not a \.deb"):
            fetcher.download_all(work, Silent(), done)
    assert running.acquire(blocking=False)
    assert running.acquire(blocking=False)


def test_an_interruption_ends_all_downloads_at_once(tmp_path: Path) -> None:
    with Server({"/a": BODY}) as server, Fetcher(stall=60) as fetcher:
        server.fault("/a", faulty.stall(after=10, times=-1))
        interruption = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
        began = time.monotonic()
        interruption.start()
        with pytest.raises(KeyboardInterrupt):
            fetcher.download_all([(promise(f"{server.url}/a"), str(tmp_path / "a"))], Silent(), lambda *_: None)
        assert time.monotonic() - began < 3


def test_nothing_to_do_is_nothing_told(fetcher: Fetcher) -> None:
    reporter = Recording()
    fetcher.download_all([], reporter, lambda *_: None)
    assert reporter.events == []


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler: Callable[..., Any] | int | None = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# Made for these tests; for 127.0.0.1, valid for a hundred years.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBpTCCAUqgAwIBAgIUT+GQ1HMG4dV5glH/x2oaHM63lNswCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLZW52Ym94LXRlc3QwIBcNMjYxMTIxMDQwNzQ0WhgPMjEyNjEw
MjgwNDA3NDRaMBYxFDASBgNVBAMMC2VudmJveC10ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEOG052J3Jayqg5cqKWLULOCyjMkYsn+4UPzbyeMJjm/Mzlr6r
TIKCnb+L7Tlf+0tG28oUTVM0fS3saa4c/5fPaaN0MHIwHQYDVR0OBBYEFC4X+daw
dCsT+JjDYivaskT+fVbaMB8GA1UdIwQYMBaAFC4X+dawdCsT+JjDYivaskT+fVba
MA8GA1UdEwEB/wQFMAMBAf8wDwYDVR0RBAgwBocEfwAAATAOBgNVHQ8BAf8EBAMC
AoQwCgYIKoZIzj0EAwIDSQAwRgIhALG6Bns3A7UEMjkqqoDNqv4ukVIjShwmuY9f
IND36UlhAiEAyV2q/SrCB77bi7gbY+avG6W9wLaW7viTOmAMICY2L0c=
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghvTU3rovRplGod6m
tySQ6N+PX/YARTw1yAvZVL1IRCKhRANCAAQ4bTnYnclrKqDlyopYtQs4LKMyRiyf
7hQ/NvJ4wmOb8zOWvqtMgoKdv4vtOV/7S0bbyhRNUzR9Lexprhz/l89p
-----END PRIVATE KEY-----
"""
