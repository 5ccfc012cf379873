"""The package lists that a lock was solved against, once the archive has moved on."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from envbox.distros import DISTROS
from envbox.host.fetch import Fetcher, NotThere
from envbox.lock import Lock, Request
from envbox.managers import MANAGERS, ArchiveRequest
from envbox.managers.apt import lists
from envbox.plan import RECIPE
from envbox.spec import Base
from envbox.store.store import Store
from envbox.values import Architecture
from envbox.workshop import Workshop
from tests.support.archive import DATE, DebianWorld
from tests.support.debs import DebRecipe
from tests.support.server import Server
from tests.support.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator

APT = MANAGERS["apt"]
DEBIAN = DISTROS["debian"]


@pytest.fixture
def world(tmp_path: Path) -> DebianWorld:
    world = DebianWorld(tmp_path / "served")
    world.main.add(DebRecipe("hello", "1.0"))
    world.publish()
    return world


@pytest.fixture
def server(world: DebianWorld) -> Iterator[Server]:
    with Server(world.folder) as server:
        yield server


def workshop(folder: Path, *sources: str) -> Workshop:
    return Workshop(Store(str(folder)).prepare(), Fetcher(backoff=0.01), sources=sources or ("mirror",))


def locked(world: DebianWorld, server: Server, shop: Workshop) -> Lock:
    base = Base("debian", "13", mirror=f"{server.url}/debian", security_mirror=f"{server.url}/debian-security")
    archive = APT.open_archive(DEBIAN, ArchiveRequest(base, (world.key,)), Architecture.AMD64, shop)
    request = Request("debian:13", mirror=base.mirror, security_mirror=base.security_mirror, key="team.asc")
    states = APT.states(archive)
    return Lock(RECIPE, Architecture.AMD64, max(state.date for state in states), request, states, ())


def versions(archive: Any) -> list[str]:
    return [package.version for package, _ in archive.versions("hello")]


def moved_on(world: DebianWorld) -> None:
    world.main.remove("hello")
    world.main.add(DebRecipe("hello", "2.0"))
    world.publish(date=DATE + dt.timedelta(hours=6))


def test_the_store_that_locked_has_them_without_the_network(world: DebianWorld, server: Server, tmp_path: Path) -> None:
    shop = workshop(tmp_path / "store")
    lock = locked(world, server, shop)
    moved_on(world)
    asked = len(server.requests)
    archive = APT.reopen_archive(lock, shop)
    assert versions(archive) == ["1.0"]
    assert APT.states(archive) == lock.archives
    assert [part.release.count(b"\nDate: Sat, 01 Nov 2025 12:00:00 UTC\n") for part in archive.parts] == [1, 1, 1]
    assert len(server.requests) == asked


def test_another_store_has_them_from_the_mirror_by_hash(world: DebianWorld, server: Server, tmp_path: Path) -> None:
    lock = locked(world, server, workshop(tmp_path / "first"))
    archive = APT.reopen_archive(lock, workshop(tmp_path / "second"))
    assert versions(archive) == ["1.0"]
    assert APT.states(archive) == lock.archives
    fetched = [request.path for request in server.requests if request.path.endswith("Packages.xz")]
    assert not fetched, "an index is asked for by its hash first"


def test_lists_that_are_not_as_they_were_written_are_not_read_and_are_made_anew(
    world: DebianWorld, server: Server, tmp_path: Path
) -> None:
    shop = workshop(tmp_path / "store")
    lock = locked(world, server, shop)
    folder = Path(lists.prepare(APT.reopen_archive(lock, shop), shop.store))
    [text] = [path for path in (folder / "lists").glob("*_trixie_main_*") if b"hello" in path.read_bytes()]
    assert lists.read(shop.store, lock.archives, lock.architecture)
    text.write_bytes(text.read_bytes().replace(b"Version: 1.0", b"Version: 6.6"))
    assert versions(APT.reopen_archive(lock, shop)) == ["1.0"]
    assert not folder.exists()
    assert lists.prepare(APT.reopen_archive(lock, shop), shop.store) == str(folder)
    assert b"Version: 1.0" in text.read_bytes()


def test_what_one_stack_computes_of_the_lists_no_other_stack_reads(
    world: DebianWorld, server: Server, tmp_path: Path
) -> None:
    shop = workshop(tmp_path / "store")
    lock = locked(world, server, shop)
    folder = lists.prepare(APT.reopen_archive(lock, shop), shop.store)
    made: list[str] = []
    stacks = [[shop.store.path("layers-v1", name) for name in names] for names in ("a", "b", "ab", "a")]
    places = [lists.prepare_cache(shop.store, folder, stack, made.append) for stack in stacks]
    assert len(made) == len(set(places)) == 3
    assert places[0] == places[3]


def test_that_they_are_gone_is_told_with_their_day_and_what_to_do(
    world: DebianWorld, server: Server, tmp_path: Path
) -> None:
    lock = locked(world, server, workshop(tmp_path / "first"))
    moved_on(world)
    with pytest.raises(NotThere, match=r"trixie.* of 2025-11-01 is no longer to be had") as failure:
        APT.reopen_archive(lock, workshop(tmp_path / "second"))
    assert "envbox update" in failure.value.hint


def test_a_cache_has_all_of_them(world: DebianWorld, server: Server, tmp_path: Path) -> None:
    first = workshop(tmp_path / "first")
    lock = locked(world, server, first)
    moved_on(world)
    with Server(first.store.root) as cache:
        archive = APT.reopen_archive(lock, workshop(tmp_path / "second", cache.url))
    assert versions(archive) == ["1.0"]


@pytest.mark.parametrize("hours", [1, 6], ids=["soon-after", "late"])
def test_a_snapshot_archive_has_them_whenever_it_looked(
    world: DebianWorld, server: Server, tmp_path: Path, hours: int
) -> None:
    lock = locked(world, server, workshop(tmp_path / "first"))
    with Snapshots(tmp_path / "snapshots") as service:
        service.take(world.folder, DATE + dt.timedelta(hours=hours))
        moved_on(world)
        service.take(world.folder, DATE + dt.timedelta(hours=hours + 6))
        lock = replace(lock, request=replace(lock.request, snapshot_mirror=service.archive))
        archive = APT.reopen_archive(lock, workshop(tmp_path / "second", "mirror", "snapshot"))
    assert versions(archive) == ["1.0"]
