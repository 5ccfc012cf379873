from __future__ import annotations

import calendar
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from envbox.errors import SpecInvalid
from envbox.host.place import LocalFile
from envbox.lock import ArchiveIndex, ArchiveState, Lock, Request
from envbox.sources import Sources, configured, stores
from envbox.spec import Base
from envbox.values import Architecture, Artifact, Digest

if TYPE_CHECKING:
    from envbox.host.place import Place

A, B = Digest("a" * 64), Digest("b" * 64)
DATE = calendar.timegm((2026, 11, 1, 8, 30, 0))
INDEX = ArchiveIndex("main/binary-amd64/Packages.xz", 1, B)
LIVE = "http://deb.debian.org/debian"
DUMPS = "http://snapshot.debian.org/archive"


def state(name: str, url: str, suite: str) -> ArchiveState:
    return ArchiveState(name, url, suite, DATE, A, (), (INDEX,))


LOCK = Lock(
    2,
    Architecture.AMD64,
    DATE,
    Request("debian:13"),
    (
        state("main", LIVE, "trixie"),
        state("security", f"{LIVE}-security", "trixie-security"),
        state("team", "https://packages.example.org", "stable"),
    ),
    (),
)


def places(archive: str, *names: str, lock: Lock = LOCK, **request: str) -> tuple[Place, ...]:
    """Of the package p.deb of an archive."""
    lock = replace(lock, request=replace(lock.request, **request))
    sources = Sources(names, lock) if names else Sources(lock=lock)
    return sources.artifact(Artifact("p", "1", "pool/p.deb", 1, A, archive))


def test_a_package_is_looked_for_on_the_mirror_then_a_day_later_then_among_the_old_releases() -> None:
    assert places("main") == (
        f"{LIVE}/pool/p.deb",
        f"{DUMPS}/debian/20261102T083000Z/pool/p.deb",
        "http://archive.debian.org/debian/pool/p.deb",
    )
    assert places("security") == (
        f"{LIVE}-security/pool/p.deb",
        f"{DUMPS}/debian-security/20261102T083000Z/pool/p.deb",
        "http://archive.debian.org/debian-security/pool/p.deb",
    )


def test_the_order_is_the_one_configured() -> None:
    cache, store = "https://cache.example.org/e", "/srv/store"
    blob = f"blobs/sha256/{A.hex}"
    assert places("team", store, "mirror", cache) == (
        LocalFile(f"{store}/{blob}"),
        "https://packages.example.org/pool/p.deb",
        f"{cache}/{blob}",
    )
    assert stores(("mirror", store, cache)) == (store,)


def test_a_repository_has_no_snapshots() -> None:
    assert places("team") == ("https://packages.example.org/pool/p.deb",)


def test_the_names_of_ones_own_packages_are_told_to_nobody_else() -> None:
    assert places("main", key="team.asc") == (f"{LIVE}/pool/p.deb",)
    own = places("main", key="team.asc", snapshot_mirror="https://s.example.org")
    assert own == (f"{LIVE}/pool/p.deb", "https://s.example.org/debian/20261102T083000Z/pool/p.deb")


def test_a_lock_of_a_snapshot_asks_the_mirror_too_and_then_that_snapshot() -> None:
    dump = f"{DUMPS}/debian/20261101T235959Z"
    lock = replace(LOCK, archives=(state("main", dump, "trixie"), LOCK.archives[2]))
    assert places("main", lock=lock, snapshot="2026-11-01") == (f"{LIVE}/pool/p.deb", f"{dump}/pool/p.deb")
    assert places("main", lock=lock, snapshot="2026-11-01", mirror="http://m.example.org")[0] == (
        "http://m.example.org/pool/p.deb"
    )
    assert places("team", lock=lock, snapshot="2026-11-01") == ("https://packages.example.org/pool/p.deb",)


def test_a_wheel_has_its_own_address_and_the_caches() -> None:
    wheel = Artifact("w", "1", "https://files.example.org/w.whl", 1, A)
    assert Sources().artifact(wheel) == ("https://files.example.org/w.whl",)
    assert Sources(("/s", "mirror")).artifact(wheel) == (LocalFile(f"/s/blobs/sha256/{A.hex}"), wheel.source)


def test_an_index_is_looked_for_by_its_hash_then_by_its_name() -> None:
    found = Sources(("mirror", "https://c.example.org"), LOCK).index(LOCK.archives[0], INDEX)
    folder = f"{LIVE}/dists/trixie/main/binary-amd64"
    assert found == (
        f"{folder}/by-hash/SHA256/{B.hex}",
        f"{folder}/Packages.xz",
        f"https://c.example.org/blobs/sha256/{B.hex}",
    )


def test_a_release_file_is_looked_for_in_the_dumps_that_follow_it() -> None:
    found = Sources(("snapshot",), LOCK).release(LOCK.archives[0])
    assert found[0] == f"{DUMPS}/debian/20261101T103000Z/dists/trixie/InRelease"
    assert len(found) == len(set(found)) == 6


def test_sources_of_the_host_come_first_and_must_be_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENVBOX_SOURCES", raising=False)
    assert configured(("mirror",)) == ("mirror",)
    monkeypatch.setenv("ENVBOX_SOURCES", "https://me:secret@c.example.org/ mirror\n/srv//s/ ")
    assert configured(("snapshot", "mirror")) == ("https://me:secret@c.example.org", "mirror", "/srv/s", "snapshot")
    monkeypatch.setenv("ENVBOX_SOURCES", "relative/path")
    with pytest.raises(SpecInvalid, match=r"ENVBOX_SOURCES: .relative/path. is no source"):
        configured(("mirror",))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-11-01", DATE + 55_799), ("2026-11-01T08:30:00Z", DATE), ("2024-02-29", 1_709_251_199)],
)
def test_a_day_is_its_last_second(text: str, seconds: int) -> None:
    assert Base("debian", "13", snapshot=text).snapshot_time == seconds
