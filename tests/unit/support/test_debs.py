"""The packages that tests are made of are real ones, as dpkg-deb judges."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.debs import DebRecipe, File, Folder, HardLink, Link, ar, control_of, device, member

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is the judge")

RECIPE = DebRecipe(
    "hello",
    version="1:2.0-1",
    architecture="amd64",
    depends="libc6 (>= 2.36)",
    files={
        "usr/bin/hello": b"#!/bin/sh\necho hello\n",
        "usr/bin/hi": Link("hello"),
        "usr/bin/hallo": HardLink("./usr/bin/hello"),
        "etc/hello.conf": "greeting=hi\n",
        "var/lib/hello": Folder(0o2775, (0, 8), ("root", "mail")),
        "usr/lib/hello/helper": File(b"\x7fELF", 0o4755, (0, 42), ("root", "shadow")),
    },
    scripts={"postinst": "#!/bin/sh\nexit 0\n"},
    conffiles=("/etc/hello.conf",),
    triggers="interest-noawait /usr/share/hello\n",
    fields={"Multi-Arch": "foreign"},
)


def dpkg_deb(tmp_path: Path, deb: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "a.deb"
    path.write_bytes(deb)
    command = ["dpkg-deb", arguments[0], str(path), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("compression", ["xz", "gz", "zst", "none"])
def test_dpkg_deb_lists_what_the_recipe_says(compression: str, tmp_path: Path) -> None:
    RECIPE.compression = compression
    listed = dpkg_deb(tmp_path, RECIPE.build(), "--contents").stdout.splitlines()
    assert [(line.split()[0], line.split()[1], line.split(maxsplit=5)[5]) for line in listed] == [
        ("drwxr-xr-x", "root/root", "./"),
        ("drwxr-xr-x", "root/root", "./etc/"),
        ("-rw-r--r--", "root/root", "./etc/hello.conf"),
        ("drwxr-xr-x", "root/root", "./usr/"),
        ("drwxr-xr-x", "root/root", "./usr/bin/"),
        ("-rwxr-xr-x", "root/root", "./usr/bin/hello"),
        ("lrwxrwxrwx", "root/root", "./usr/bin/hi -> hello"),
        ("drwxr-xr-x", "root/root", "./usr/lib/"),
        ("drwxr-xr-x", "root/root", "./usr/lib/hello/"),
        ("-rwsr-xr-x", "root/shadow", "./usr/lib/hello/helper"),
        ("drwxr-xr-x", "root/root", "./var/"),
        ("drwxr-xr-x", "root/root", "./var/lib/"),
        ("drwxrwsr-x", "root/mail", "./var/lib/hello/"),
        ("hrw-r--r--", "root/root", "./usr/bin/hallo link to ./usr/bin/hello"),
    ]


def test_dpkg_deb_reads_the_control_archive(tmp_path: Path) -> None:
    RECIPE.compression = "xz"
    deb = RECIPE.build()
    assert dpkg_deb(tmp_path, deb, "--field").stdout == control_of(deb)
    told = dpkg_deb(tmp_path, deb, "--field", "Version", "Depends", "Multi-Arch").stdout
    assert told == "Version: 1:2.0-1\nDepends: libc6 (>= 2.36)\nMulti-Arch: foreign\n"
    for name in ("conffiles", "triggers", "postinst", "md5sums"):
        assert dpkg_deb(tmp_path, deb, "--info", name).stdout
    assert "etc/hello.conf" not in dpkg_deb(tmp_path, deb, "--info", "md5sums").stdout
    assert RECIPE.filename == "hello_2.0-1_amd64.deb"


def test_dpkg_installs_it(tmp_path: Path) -> None:
    recipe = DebRecipe("hello", files={"usr/share/hello/a": "a", "etc/a.conf": "b"}, conffiles=("/etc/a.conf",))
    (tmp_path / "a.deb").write_bytes(recipe.build())
    (tmp_path / "root/var/lib/dpkg/updates").mkdir(parents=True)
    (tmp_path / "root/var/lib/dpkg/info").mkdir()
    (tmp_path / "root/var/lib/dpkg/status").touch()
    done = subprocess.run(
        [
            "dpkg",
            "--root",
            str(tmp_path / "root"),
            "--force-not-root,script-chrootless,bad-path",
            "--log=/dev/null",
            "--install",
            str(tmp_path / "a.deb"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "root/usr/share/hello/a").read_text() == "a"
    assert "Status: install ok installed" in (tmp_path / "root/var/lib/dpkg/status").read_text()


def test_the_same_recipe_gives_the_same_bytes() -> None:
    assert DebRecipe("a", files={"x": b"1"}).build() == DebRecipe("a", files={"x": b"1"}).build()


def test_hostile_members_are_written_as_they_are(tmp_path: Path) -> None:
    hostile = DebRecipe(
        "evil",
        members=[
            member("../outside", b"x"),
            member("/etc/absolute", b"x"),
            member("./trap", Link("/tmp")),
            member("./trap/file", b"x"),
            device("./dev/mem", 1, 1),
        ],
    )
    listed = dpkg_deb(tmp_path, hostile.build(), "--contents").stdout
    names = [line.split(maxsplit=5)[5] for line in listed.splitlines()]
    assert names == ["./", "../outside", "/etc/absolute", "./trap -> /tmp", "./trap/file", "./dev/mem"]


def test_a_broken_outer_archive_is_refused_by_dpkg_deb_too(tmp_path: Path) -> None:
    assert dpkg_deb(tmp_path, ar([("debian-binary", b"3.0\n")]), "--contents").returncode != 0
    assert dpkg_deb(tmp_path, DebRecipe("a", parts=[("wrong", b"")]).build(), "--contents").returncode != 0
