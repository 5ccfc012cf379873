"""The archives that tests are made of are real ones, as apt judges."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.archive import DATE, Archive, DebianWorld, DebRecipe, SigningKey
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt is the judge")


class Apt:
    """The host's apt in a tree of its own."""

    def __init__(self, folder: Path, sources: str) -> None:
        for name in ("etc/preferences.d", "etc/apt.conf.d", "lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(sources)
        (folder / "apt.conf").write_text('Dir::Etc::parts "/none";\nDir::Etc::main "/none";\n')
        self.folder = folder
        self.options = [
            option
            for setting in (
                f"Dir={folder}/",
                f"Dir::Etc={folder}/etc/",
                f"Dir::Etc::SourceList={folder}/sources.list",
                f"Dir::Etc::SourceParts={folder}/none",
                f"Dir::State={folder}/",
                f"Dir::State::Lists={folder}/lists/",
                f"Dir::State::Status={folder}/status",
                f"Dir::Cache={folder}/cache/",
                "Dir::Bin::Methods=/usr/lib/apt/methods/",
                "APT::Architecture=amd64",
                "APT::Architectures=amd64",
                "APT::Sandbox::User=root",
                "Acquire::Languages=none",
                "Acquire::http::Proxy=false",
                "Debug::NoLocking=true",
            )
            for option in ("-o", setting)
        ]

    def get(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["apt-get", *self.options, "-q", "--error-on=any", *arguments]
            if arguments[0] == "update"
            else ["apt-get", *self.options, "-q", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
            | {"APT_CONFIG": str(self.folder / "apt.conf")},
        )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Archive, Apt]]:
    archive = Archive(tmp_path / "debian", ("trixie", "trixie-updates"))
    archive.add(DebRecipe("greeting", depends="hello (>= 2)"))
    archive.add(DebRecipe("hello", "1.0", files={"usr/bin/hello": b"#!/bin/sh\n"}))
    archive.add(DebRecipe("hello", "2.0", files={"usr/bin/hello": b"#!/bin/sh\n"}), "trixie-updates")
    (tmp_path / "key.asc").write_bytes(archive.key)
    with Server(tmp_path) as server:
        line = f"deb [signed-by={tmp_path}/key.asc] {server.url}/debian"
        yield archive, Apt(tmp_path / "apt", f"{line} trixie main\n{line} trixie-updates main\n")


def test_apt_accepts_resolves_and_downloads(served: tuple[Archive, Apt]) -> None:
    archive, apt = served
    archive.publish(valid_until=dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=7))
    updated = apt.get("update")
    assert updated.returncode == 0, updated.stderr
    told = apt.get("install", "--print-uris", "-qq", "greeting").stdout
    assert {line.split()[0].strip("'").rsplit("/", 1)[-1] for line in told.splitlines()} == {
        "greeting_1.0_all.deb",
        "hello_2.0_all.deb",
    }
    downloaded = apt.get("download", "hello=1.0")
    assert downloaded.returncode == 0, downloaded.stderr
    assert (apt.folder / "hello_1.0_all.deb").read_bytes() == DebRecipe(
        "hello", "1.0", files={"usr/bin/hello": b"#!/bin/sh\n"}
    ).build()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unsigned", "not signed"),
        ("wrong-key", "NO_PUBKEY"),
        ("tampered", "BADSIG"),
        ("prepended", "Clearsigned file isn't valid"),
        ("tampered-index", "Hash Sum mismatch"),
        ("missing", "does not have a Release file"),
    ],
)
def test_apt_refuses_each_spoilt_variant(fault: str, reason: str, served: tuple[Archive, Apt]) -> None:
    archive, apt = served
    archive.publish(fault=fault)
    updated = apt.get("update")
    assert updated.returncode != 0
    assert reason in updated.stderr + updated.stdout


def test_apt_refuses_an_expired_archive(served: tuple[Archive, Apt]) -> None:
    archive, apt = served
    archive.publish(date=DATE, valid_until=DATE + dt.timedelta(days=7))
    assert "expired" in apt.get("update").stderr


def test_publishing_twice_gives_the_same_release(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "debian")
    archive.add(DebRecipe("hello"))
    archive.publish()
    first = (tmp_path / "debian/dists/trixie/Release").read_bytes()
    archive.publish()
    assert (tmp_path / "debian/dists/trixie/Release").read_bytes() == first


def test_a_real_package_is_served_with_the_priority_of_its_archive(tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_bytes(DebRecipe("libhello", "1:1.0").build())
    (tmp_path / "a.deb.stanza").write_text("Package: libhello\nPriority: required\nSection: libs\n")
    world = DebianWorld(tmp_path)
    assert world.main.include(tmp_path / "a.deb") == "pool/main/libh/libhello/libhello_1.0_all.deb"
    world.publish()
    packages = (tmp_path / "debian/dists/trixie/main/binary-amd64/Packages").read_text()
    assert "\nPriority: required\n" in packages
    assert "optional" not in packages
    assert (tmp_path / "debian-security/dists/trixie-security/InRelease").exists()


def test_keys_of_two_archives_differ() -> None:
    first, second = SigningKey(), SigningKey()
    assert first.fingerprint != second.fingerprint
    assert first.public.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")
    assert b"PRIVATE" not in first.public
