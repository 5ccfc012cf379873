"""Where artifacts come from once the mirror has moved on: every place is asked in its turn, and none is believed."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hermetic.kit import sha256
from tests.support import server as faulty
from tests.support.archive import DATE
from tests.support.debs import DebRecipe
from tests.support.server import Server
from tests.support.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
DAY = dt.timedelta(days=1)


def hello(version: str) -> DebRecipe:
    return DebRecipe("hello", version, files={"usr/bin/hello": f"#!/bin/sh\necho hello {version}\n"})


POOL = "pool/main/h/hello/hello_1.0_all.deb"


@pytest.fixture
def service(case: Case) -> Iterator[Snapshots]:
    with Snapshots(case.folder.parent / "snapshots") as service:
        yield service


class Elsewhere:
    """A cache and a store that have what the case's store had downloaded."""

    def __init__(self, case: Case) -> None:
        self.store = case.folder.parent / "elsewhere"
        (self.store / "blobs/sha256").mkdir(parents=True)
        for entry in os.scandir(case.store / "blobs/sha256"):
            if not entry.is_symlink() and entry.is_file():
                shutil.copy(entry.path, self.store / "blobs/sha256" / entry.name)
        case.person.own(self.store)

    def blob(self, data: bytes) -> Path:
        return self.store / "blobs/sha256" / sha256(data)


def deb(case: Case) -> bytes:
    return Path(case.debian.folder, "debian", POOL).read_bytes()


def locked(case: Case, service: Snapshots, **base: str) -> bytes:
    """A project with hello 1.0, locked; a day later the archive has only hello 2.0. Returns the lost package."""
    case.debian.main.add(hello("1.0"))
    case.debian.publish()
    service.take(case.debian.folder, DATE + dt.timedelta(minutes=30))
    case.spec("hello", base={"snapshot-mirror": service.archive, **base})
    case.envbox("lock")
    return moved_on(case)


def moved_on(case: Case) -> bytes:
    data = deb(case)
    case.debian.main.remove("hello")
    case.debian.main.add(hello("2.0"))
    os.unlink(Path(case.debian.folder, "debian", POOL))
    case.debian.publish(date=DATE + 2 * DAY)
    return data


def forget(case: Case) -> None:
    """As on another host, which has the base at most."""
    case.forget_layers()
    case.forget_keys()
    for entry in os.scandir(case.store / "blobs/sha256"):
        if not entry.is_symlink():
            os.unlink(entry.path)


def with_sources(case: Case, *sources: object) -> None:
    listed = ", ".join(f'"{source}"' for source in sources)
    text = (case.folder / "envbox.toml").read_text().split("sources =")[0]
    case.write("envbox.toml", f"{text}sources = [{listed}]\n")


def rebuilt(case: Case) -> None:
    """The environment is there again, the same to the byte."""
    before = case.lock.read_bytes()
    case.envbox("build")
    assert case.run("hello") == "hello 1.0\n"
    assert case.lock.read_bytes() == before
    case.verify()


@both
def test_a_package_gone_from_the_mirror_comes_from_the_snapshot_archive(case: Case, service: Snapshots) -> None:
    locked(case, service)
    forget(case)
    service.requests.clear()
    rebuilt(case)
    assert case.server.count(f"/debian/{POOL}") == 1 + 1  # when it was locked, and now in vain
    asked = [request.path for request in service.requests]
    # A day after the Release: whatever it named is still there.
    assert asked == [f"/archive/debian/20251102T120000Z/{POOL}", f"/archive/debian/20251101T123000Z/{POOL}"]


def test_a_package_gone_from_everywhere_else_comes_from_the_teams_cache(case: Case, service: Snapshots) -> None:
    locked(case, service)
    with Server(Elsewhere(case).store) as cache:
        with_sources(case, "mirror", cache.url)
        forget(case)
        rebuilt(case)
        assert [request.path.split("/")[1] for request in cache.requests] == ["blobs"]


@both
def test_a_package_gone_from_everywhere_else_comes_from_another_store(case: Case, service: Snapshots) -> None:
    data = locked(case, service)
    elsewhere = Elsewhere(case)
    with_sources(case, "mirror", elsewhere.store)
    forget(case)
    rebuilt(case)
    own = case.store / "blobs/sha256" / sha256(data)
    assert not own.samefile(elsewhere.blob(data)), "what another may write must not be ours"


def test_sources_are_asked_in_their_order(case: Case, service: Snapshots) -> None:
    locked(case, service)
    elsewhere = Elsewhere(case)
    with Server(elsewhere.store) as cache:
        for first, second in ((cache.url, elsewhere.store), (elsewhere.store, cache.url)):
            with_sources(case, first, second, "mirror", "snapshot")
            forget(case)
            cache.requests.clear()
            case.server.requests.clear()
            case.envbox("build")
            assert bool(cache.requests) is (first == cache.url)
            assert not case.server.requests


def test_a_host_may_have_sources_of_its_own_before_those_of_the_project(case: Case, service: Snapshots) -> None:
    locked(case, service)
    with Server(Elsewhere(case).store) as cache:
        case.environment["ENVBOX_SOURCES"] = f" {cache.url}/ /nowhere/at/all "
        forget(case)
        case.server.requests.clear()
        rebuilt(case)
        assert cache.requests
        assert not case.server.requests
    forget(case)
    case.environment["ENVBOX_SOURCES"] = "miror"
    case.fails("build", code="EB-SPEC", status=1, parts=('ENVBOX_SOURCES: "miror"', 'did you mean "mirror"?', "hint:"))


def test_that_no_source_has_it_is_told_with_all_of_them(case: Case, service: Snapshots, tmp_path: Path) -> None:
    data = locked(case, service)
    with Server({}) as cache:
        with_sources(case, "mirror", cache.url, tmp_path)
        forget(case)
        parts = ("hello 1.0 is not", case.server.url.removeprefix("http://"), cache.url.removeprefix("http://"),
                 f"{tmp_path}/blobs/sha256/{sha256(data)}", "hint:")  # fmt: skip
        case.fails("build", code="EB-NETWORK", status=2, parts=parts)


def test_changing_the_sources_leaves_a_lock_as_it_is(case: Case, service: Snapshots) -> None:
    locked(case, service)
    with_sources(case, "snapshot")
    rebuilt(case)


# A day of the archive.


def test_a_snapshot_is_what_is_solved_against_whatever_the_mirror_has(case: Case, service: Snapshots) -> None:
    case.debian.main.add(hello("1.0"))
    case.debian.publish()
    stamp = service.take(case.debian.folder, DATE + dt.timedelta(hours=3))
    moved_on(case)
    service.take(case.debian.folder, DATE + 2 * DAY)
    case.spec("hello", base={"snapshot": "2025-11-01", "snapshot-mirror": service.archive})
    case.envbox("lock")
    assert case.run("hello") == "hello 1.0\n"
    urls = [state.url for state in case.read_lock().archives]
    assert urls == [f"{service.archive}/{name}/20251101T235959Z" for name in ("debian", "debian", "debian-security")]
    assert any(stamp in request.path for request in service.requests)
    before = case.lock.read_bytes()
    case.envbox("lock")
    assert case.lock.read_bytes() == before
    with_sources(case, "snapshot")
    forget(case)
    rebuilt(case)


def test_a_moment_counts_to_the_second(case: Case, service: Snapshots) -> None:
    for hours, version in ((1, "1.0"), (7, "1.1")):
        case.debian.main.add(hello(version))
        case.debian.publish(date=DATE + dt.timedelta(hours=hours - 1))
        service.take(case.debian.folder, DATE + dt.timedelta(hours=hours))
    case.spec("hello", base={"snapshot": "2025-11-01T18:59:59Z", "snapshot-mirror": service.archive})
    case.envbox("lock")
    assert case.run("hello") == "hello 1.0\n"


def test_a_day_that_is_not_over_is_refused(case: Case, service: Snapshots) -> None:
    today = dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d")
    case.spec("hello", base={"snapshot": today, "snapshot-mirror": service.archive})
    case.fails("lock", code="EB-SPEC", status=1, parts=(f"base.snapshot: {today} has not passed yet", "hint:"))
    assert not service.requests


def test_a_state_from_after_the_snapshot_is_refused(case: Case, service: Snapshots) -> None:
    case.debian.main.add(hello("1.0"))
    case.debian.publish(date=DATE + DAY)
    service.take(case.debian.folder, DATE)
    case.spec("hello", base={"snapshot": "2025-11-01", "snapshot-mirror": service.archive})
    parts = ("is of 2025-11-02, which is after the snapshot asked for", "hint:")
    case.fails("lock", code="EB-SIGNATURE", status=3, parts=parts)


@pytest.mark.parametrize(("snapshot", "is_valid"), [("2025-11-05", True), ("2025-11-09", False)])
def test_how_long_a_state_is_valid_is_held_against_the_snapshot_and_not_today(
    case: Case, service: Snapshots, snapshot: str, is_valid: bool
) -> None:
    case.debian.main.add(hello("1.0"))
    case.debian.publish(valid_until=DATE + 7 * DAY)
    service.take(case.debian.folder, DATE)
    case.spec("hello", base={"snapshot": snapshot, "snapshot-mirror": service.archive})
    if is_valid:
        case.envbox("lock")
    else:
        parts = ("expired on 2025-11-08", "a later state is kept from us", "hint:")
        case.fails("lock", code="EB-SIGNATURE", status=3, parts=parts)


def test_a_snapshot_from_before_the_release_is_told(case: Case, service: Snapshots) -> None:
    case.debian.publish()
    service.take(case.debian.folder, DATE)
    case.spec("hello", base={"snapshot": "2020-01-01", "snapshot-mirror": service.archive})
    parts = ("20200101T235959Z/dists/trixie/InRelease is not there", "hint: name another day")
    case.fails("lock", code="EB-NETWORK", status=2, parts=parts)


def test_a_busy_snapshot_service_that_drops_connections_is_waited_for(case: Case, service: Snapshots) -> None:
    locked(case, service)
    service.busy = 3
    path = f"/archive/debian/20251101T123000Z/{POOL}"
    service.fault(path, faulty.truncate(100), faulty.status(503, retry_after=0.05))
    with_sources(case, "snapshot")
    forget(case)
    rebuilt(case)
    assert service.count(path) >= 3  # cut, refused, gone on with


# Places that lie.


@both
def test_a_cache_with_other_bytes_is_named_and_nothing_of_it_is_kept(case: Case, service: Snapshots) -> None:
    data = locked(case, service)
    with Server(Elsewhere(case).store) as cache:
        cache.fault(f"/blobs/sha256/{sha256(data)}", faulty.corrupt(times=-1))
        with_sources(case, cache.url)
        forget(case)
        case.fails("build", code="EB-ARTIFACT", status=3, parts=("hello 1.0", "other bytes than promised", cache.url))
        case.verify_no_blob()
        with_sources(case, cache.url, "snapshot")
        told = case.envbox("build").errors
        assert f"other bytes than promised at {cache.url}" in told
    assert case.run("hello") == "hello 1.0\n"


@both
def test_a_store_with_other_bytes_is_named_and_passed_over(case: Case, service: Snapshots) -> None:
    data = locked(case, service)
    elsewhere = Elsewhere(case)
    elsewhere.blob(data).write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with_sources(case, elsewhere.store, "snapshot")
    forget(case)
    assert f"other bytes than promised at {elsewhere.blob(data)}" in case.envbox("build").errors
    assert case.run("hello") == "hello 1.0\n"
    case.verify()


# Layers of another store.

SCRIPT = "#!/bin/sh\nset -e\nmkdir /srv/box\nchown 7:8 /srv/box\ntouch /srv/box/file\nchown 9:9 /srv/box/file\nln -s file /srv/box/link\n"


def with_layers(case: Case) -> Path:
    """A locked project of which nothing is here any more, and a store that has its layers."""
    case.debian.main.add(
        DebRecipe("hello", "1.0", files={"usr/bin/hello": "#!/bin/sh\necho hello 1.0\n"}, scripts={"postinst": SCRIPT})
    )
    case.debian.publish()
    case.spec("hello")
    case.envbox("lock")
    other = case.folder.parent / "other"
    (other / "layers-v1").mkdir(parents=True)
    for entry in os.scandir(case.store / "layers-v1"):
        if not entry.is_symlink():
            subprocess.run(["cp", "-a", entry.path, other / "layers-v1"], check=True)
    case.person.own(other)
    with_sources(case, other, "mirror")
    forget(case)
    case.server.requests.clear()
    return other


@both
def test_layers_come_from_another_store_and_nothing_is_built(case: Case) -> None:
    with_layers(case)
    told = case.envbox("build").errors
    assert not case.server.requests
    assert "Copied packages, configured from" in told
    assert "Building" not in told
    known = {entry.read_text(encoding="ascii").strip() for entry in (case.store / "keys-v1").iterdir()}
    assert not known & set(case.digests()[2:]), "what a lock alone says is nothing for other projects"
    tree = case.store / "layers-v1" / case.digests()[3].removeprefix("sha256:") / "tree"
    assert os.getxattr(tree / "srv/box", "user.envbox.owner") == b"7:8"
    assert os.getxattr(tree / "srv/box/file", "user.envbox.owner") == b"9:9"
    rebuilt(case)


@both
def test_a_layer_with_one_wrong_byte_is_refused_with_the_file_and_built_instead(case: Case) -> None:
    other = with_layers(case)
    layer = other / "layers-v1" / case.digests()[2].removeprefix("sha256:")
    program = layer / "tree/usr/bin/hello"
    program.chmod(0o755)
    program.write_bytes(program.read_bytes().replace(b"1.0", b"6.6"))
    told = case.envbox("build").errors
    assert f"The layer 'packages, unpacked' in {other} was refused" in told
    assert "/usr/bin/hello: " in told
    assert "Built packages, unpacked" in told
    rebuilt(case)
