"""A mirror that misbehaves, or is not there at all."""

from __future__ import annotations

import copy
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support import server as faulty
from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
DATA = bytes(range(256)) * 400
HELLO = DebRecipe(
    "hello", files={"usr/bin/hello": "#!/bin/sh\necho hello\n", "usr/share/data": DATA}, compression="none"
)
POOL = "/debian/pool/main/h/hello/hello_1.0_all.deb"
INDEX = "/debian/dists/trixie/InRelease"


@pytest.fixture
def ready(case: Case) -> Case:
    case.add(HELLO)
    case.spec("hello")
    return case


@pytest.mark.parametrize(
    "faults",
    [
        (faulty.status(503, times=3),),
        (faulty.status(503, retry_after=0.1),),
        (faulty.truncate(700),),
        (faulty.stall(500),),
        (faulty.silent(),),
        (faulty.hang_up(times=2),),
        (faulty.status(500), faulty.truncate(300), faulty.hang_up()),
    ],
    ids=["503", "retry-after", "truncated", "stalled", "silent", "hang-up", "one-after-the-other"],
)
def test_a_mirror_that_fails_a_few_times_does_not_stop_a_build(ready: Case, faults: tuple[faulty.Fault, ...]) -> None:
    for path in (INDEX, POOL):
        ready.server.fault(path, *copy.deepcopy(faults))  # a fault counts down
    ready.envbox("lock")
    assert ready.run("hello") == "hello\n"
    assert min(ready.server.count(INDEX), ready.server.count(POOL)) > 1


def test_a_mirror_that_sends_other_bytes_once_is_asked_again(ready: Case) -> None:
    ready.server.fault(POOL, faulty.corrupt())
    ready.envbox("lock")
    assert ready.run("hello") == "hello\n"
    ready.verify()


@pytest.mark.parametrize("fault", [faulty.corrupt(times=-1), faulty.longer(times=-1)], ids=["corrupt", "longer"])
@pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
def test_a_mirror_that_always_sends_other_bytes_is_refused(ready: Case, fault: faulty.Fault) -> None:
    ready.server.fault(POOL, fault)
    parts = ("hello 1.0", "other bytes than promised", f"{ready.server.url}{POOL}", "expected", "found", "hint:")
    ready.fails("lock", code="EB-ARTIFACT", status=3, parts=parts)
    ready.server.fault(POOL)  # mended
    ready.verify_no_blob()
    ready.envbox("lock")
    ready.verify()


def test_a_mirror_that_truncates_always_is_told(ready: Case) -> None:
    ready.server.fault(POOL, faulty.truncate(100, times=-1))
    parts = ("cannot download hello 1.0", "127.0.0.1", "the connection was cut", "hint: check the network")
    ready.fails("lock", code="EB-NETWORK", status=2, parts=parts)


def test_a_mirror_that_is_never_ready_is_told(ready: Case) -> None:
    ready.server.fault(INDEX, faulty.status(503, times=-1))
    ready.fails("lock", code="EB-NETWORK", status=2, parts=("dists/trixie/InRelease", "503", "hint:"))


def test_a_package_that_the_mirror_has_no_more_is_told_with_what_to_do(ready: Case) -> None:
    ready.server.fault(POOL, faulty.gone())
    parts = ("hello 1.0 is not, or no longer, at 127.0.0.1", "hint: the archive has moved on: run `envbox update`")
    ready.fails("lock", code="EB-NETWORK", status=2, parts=parts)


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as listener:  # bound, and nobody listens
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@both
def test_locking_without_a_server_is_told(case: Case, closed_port: int) -> None:
    case.spec(base={"mirror": f"http://127.0.0.1:{closed_port}/debian"})
    parts = (f"127.0.0.1:{closed_port}", "InRelease", "Connection refused", "hint: check the network")
    case.fails("lock", code="EB-NETWORK", status=2, parts=parts)
    assert not case.lock.exists()


def test_locking_with_a_name_that_cannot_be_looked_up_is_told(case: Case) -> None:
    case.spec(base={"mirror": "http://mirror.invalid/debian"})
    parts = ("mirror.invalid", "the name cannot be looked up", "hint: check the network")
    case.fails("lock", code="EB-NETWORK", status=2, parts=parts)


@both
def test_what_is_downloaded_is_built_and_run_without_any_server(ready: Case) -> None:
    ready.envbox("lock")
    digests = ready.digests()
    ready.forget_layers()
    before = len(ready.server.requests)
    ready.envbox("build")
    assert ready.run("hello") == "hello\n"
    assert len(ready.server.requests) == before
    assert ready.digests() == digests


def test_building_from_a_lock_asks_for_no_index(ready: Case) -> None:
    ready.envbox("lock")
    ready.forget_layers()
    ready.forget_layers(("blobs/sha256",))
    before = len(ready.server.requests)
    ready.envbox("build")
    assert [request.path for request in ready.server.requests[before:]] == [POOL]
