"""Several places for one file: each is asked in its turn, and none is believed."""

from __future__ import annotations

import hashlib
import os
import random
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from envbox.errors import ArtifactMismatch, NetworkFailed
from envbox.host.fetch import Download, Fetcher, NotThere
from envbox.host.place import LocalFile, Place
from envbox.report import Recording
from envbox.values import Digest
from tests.support import server as faulty
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = random.Random(8).randbytes(300_000)
CONTENTS = {
    "whole": BODY,
    "other-bytes": bytes([BODY[0] ^ 1]) + BODY[1:],
    "shorter": BODY[:-1],
    "longer": BODY + b"!",
    "empty": b"",
}
LIES = ["other-bytes", "shorter", "longer", "empty", "link", "pipe", "folder", "device", "below-a-file", "missing"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/file": BODY, "/other": BODY}) as running:
        yield running


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(attempts=4, stall=0.4, backoff=0.01) as made:
        yield made


def promise(*places: Place) -> Download:
    return Download(places, len(BODY), Digest(hashlib.sha256(BODY).hexdigest()), "a_1.0_all.deb")


def nothing(_: Any) -> None:
    """Not interested in progress."""


def fetched(fetcher: Fetcher, tmp_path: Path, what: Download) -> tuple[bytes, int]:
    """The bytes, and the sum of all progress."""
    told: list[int] = []
    fetcher.download(what, str(tmp_path / "a"), told.append)
    return (tmp_path / "a").read_bytes(), sum(told)


def put(folder: Path, trick: str) -> LocalFile:
    """What somebody else's store has in the place of the file."""
    path = folder / trick
    if trick in CONTENTS:
        path.write_bytes(CONTENTS[trick])
    elif trick == "link":
        (folder / "whole").write_bytes(BODY)
        path.symlink_to(folder / "whole")
    elif trick == "pipe":
        os.mkfifo(path)
    elif trick == "folder":
        path.mkdir()
    elif trick == "device":
        return LocalFile("/dev/zero")
    elif trick == "below-a-file":
        path.write_bytes(BODY)
        return LocalFile(f"{path}/file")
    return LocalFile(str(path))


def test_a_file_of_this_host_is_copied(fetcher: Fetcher, tmp_path: Path) -> None:
    place = put(tmp_path, "whole")
    assert fetched(fetcher, tmp_path, promise(place)) == (BODY, len(BODY))
    assert not os.path.samefile(place.path, tmp_path / "a")


def test_a_copy_goes_on_where_a_download_was_cut(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.truncate(after=1000), faulty.gone())
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file", put(tmp_path, "whole"))) == (BODY, len(BODY))


def test_a_download_cut_at_one_place_goes_on_at_the_next(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    server.fault("/file", faulty.truncate(after=1000), faulty.gone())
    what = promise(f"{server.url}/file", f"{server.url}/other")
    assert fetched(fetcher, tmp_path, what) == (BODY, len(BODY))
    assert [request.range for request in server.requests] == ["", "bytes=1000-", "bytes=1000-"]


@pytest.mark.parametrize("lie", LIES)
def test_a_file_of_this_host_is_not_believed(server: Server, fetcher: Fetcher, tmp_path: Path, lie: str) -> None:
    place = put(tmp_path, lie)
    assert fetched(fetcher, tmp_path, promise(place, f"{server.url}/file")) == (BODY, len(BODY))
    (tmp_path / "a").unlink()
    with pytest.raises((ArtifactMismatch, NetworkFailed), match=re.escape(str(place))):
        fetched(fetcher, tmp_path, promise(place))
    assert (tmp_path / "a").read_bytes() == b""


def test_what_no_file_has_by_hash_is_not_there(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        fetched(fetcher, tmp_path, promise(put(tmp_path, "missing"), put(tmp_path, "below-a-file")))


@pytest.mark.parametrize(
    "fault",
    [
        faulty.corrupt(times=-1),
        faulty.longer(times=-1),
        faulty.endless(times=-1),
        faulty.unframed(100, times=-1),
        faulty.redirect("file:///etc/hostname"),
        faulty.redirect("/file"),
        faulty.status(200, times=-1),
        faulty.hang_up(times=-1),
    ],
    ids=["other-bytes", "longer", "endless", "shorter", "file-url", "loop", "a-page", "hangs-up"],
)
def test_a_cache_is_not_believed(server: Server, fetcher: Fetcher, tmp_path: Path, fault: faulty.Fault) -> None:
    server.fault("/file", fault)
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file", f"{server.url}/other")) == (BODY, len(BODY))
    (tmp_path / "a").unlink()
    with pytest.raises((ArtifactMismatch, NetworkFailed)):
        fetched(fetcher, tmp_path, promise(f"{server.url}/file"))
    assert (tmp_path / "a").read_bytes() != BODY


def test_what_a_liar_sent_before_it_hung_up_is_not_gone_on_with(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(bytes(5000))
    assert fetched(fetcher, tmp_path, promise(f"{server.url}/file")) == (BODY, len(BODY))
    assert [request.range for request in server.requests] == ["bytes=5000-", ""]


def test_a_place_with_other_bytes_is_told_once_another_has_the_right_ones(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.fault("/file", faulty.corrupt(times=-1))
    told = Recording()
    what = promise(f"{server.url}/file", f"{server.url}/other")
    fetcher.download_all([(what, str(tmp_path / "a"))], told, lambda *_: None)
    notes = [str(event[1]) for event in told.events if event[0] == "note"]
    assert len(notes) == 1
    assert f"a_1.0_all.deb: other bytes than promised at {server.url}/file" in notes[0]


def test_a_failure_everywhere_is_told_with_what_each_place_said(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    server.fault("/file", faulty.status(403, times=-1))
    pipe = put(tmp_path, "pipe")
    with pytest.raises(NetworkFailed) as caught:
        fetched(fetcher, tmp_path, promise(f"{server.url}/file", pipe))
    host = server.url.removeprefix("http://")
    assert caught.value.message.splitlines() == [
        "cannot download a_1.0_all.deb from any place:",
        f"  {host}: the server answered 403 Forbidden",
        f"  {pipe}: it is no regular file",
    ]


def test_a_host_that_fails_is_asked_last_from_then_on(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    with Server({"/file": BODY, "/more": BODY}) as dead:
        for number, name in enumerate(("/file", "/more")):
            dead.fault(name, faulty.hang_up(times=-1))
            fetcher.download(promise(f"{dead.url}{name}", f"{server.url}/file"), str(tmp_path / str(number)), nothing)
        assert (dead.count("/file"), dead.count("/more")) == (4, 0)


def test_a_pause_that_a_host_asks_for_is_kept_by_all_threads(server: Server, tmp_path: Path) -> None:
    server.fault("/file", faulty.status(429, retry_after=1))
    with Fetcher(backoff=0.01) as fetcher:
        arguments = (promise(f"{server.url}/file"), str(tmp_path / "first"), nothing)
        first = threading.Thread(target=fetcher.download, args=arguments)
        first.start()
        while not server.requests:
            time.sleep(0.01)
        time.sleep(0.2)
        fetcher.download(promise(f"{server.url}/other"), str(tmp_path / "second"), nothing)
        first.join()
    asked = {request.path: request.at for request in server.requests}
    assert asked["/other"] - server.requests[0].at > 0.8
