"""Maintainer scripts: what they may do, what becomes of it, and how their failures are told."""

from __future__ import annotations

import os
import re
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.debs import DebRecipe, File, Folder, HardLink, Link

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
SH = "#!/bin/sh\nset -e\n"


def postinst(text: str, name: str = "subject", **more: object) -> DebRecipe:
    return DebRecipe(name, scripts={"postinst": SH + text}, **more)  # type: ignore[arg-type]


@both
def test_a_script_that_fails_is_told_with_its_last_lines_and_the_log(case: Case) -> None:
    told = case.install(
        postinst("echo some news\nfor i in 1 2 3; do echo line $i; done\necho oh no >&2\nexit 7\n"), status=None
    )
    assert told.status == 1, str(told)
    for part in ("subject", "line 3", "oh no", "returned error exit status 7", "[EB-BUILD]", "the whole log is in "):
        assert part in told.errors, str(told)
    assert "Traceback" not in told.errors
    log = re.search(r"the whole log is in (\S+)", told.errors)
    assert log
    with open(log[1], encoding="utf-8") as file:
        assert "some news" in file.read()
    assert not os.listdir(case.store / "tmp")
    case.verify()
    # Mended in the archive, it builds.
    case.debian.main.remove("subject")
    case.install(postinst("echo fine\n", version="1.1"))


def test_a_preinst_that_fails_is_told_by_the_name_of_its_package(case: Case) -> None:
    result = case.install(DebRecipe("subject", scripts={"preinst": SH + "echo not today >&2\nexit 3\n"}), status=None)
    assert result.status == 1, str(result)
    for part in ("subject", "preinst", "not today", "[EB-BUILD]", "the whole log is in "):
        assert part in result.errors, str(result)


def test_a_script_that_is_no_program_is_told(case: Case) -> None:
    result = case.install(DebRecipe("subject", scripts={"postinst": "#!/no/such/interpreter\n"}), status=None)
    assert result.status == 1, str(result)
    assert "subject" in result.errors
    assert "[EB-BUILD]" in result.errors
    assert "Traceback" not in result.errors


@both
def test_a_script_has_no_network(case: Case) -> None:
    port = case.server.url.rpartition(":")[2]
    script = f"ls /sys/class/net >/seen 2>/dev/null || true\nperl -MIO::Socket::INET -e 'exit(IO::Socket::INET->new(\"127.0.0.1:{port}\") ? 0 : 1)' && echo reached >/reached || echo offline >/offline\n"
    # perl-base has IO::Socket::INET.
    case.install(postinst(script))
    assert "offline" in case.entries()
    assert "reached" not in case.entries()


def test_a_daemon_that_a_script_leaves_behind_ends_with_the_build(case: Case) -> None:
    began = time.monotonic()
    case.install(postinst("(trap '' HUP TERM; setsid sleep 98765 </dev/null >/dev/null 2>&1 &)\n(sleep 98764 &)\n"))
    assert time.monotonic() - began < 20
    running = [
        name for name in os.listdir("/proc") if name.isdecimal() and _command_of(name).startswith("sleep\x009876")
    ]
    assert not running


def _command_of(process: str) -> str:
    try:
        with open(f"/proc/{process}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def test_a_script_cannot_see_the_host(case: Case) -> None:
    case.install(
        postinst('echo "$$" >/pid\nhostname >/name\nenv | sort >/env\nls / >/top\nprintf %s "$HOME" >/home-is\n')
    )
    assert case.content("name") == b"envbox\n"
    assert case.content("home-is") == b"/root"
    assert int(case.content("pid")) < 1000
    environment = case.content("env").decode()
    assert "ENVBOX_STORE" not in environment
    assert "SSL_CERT" not in environment
    assert b"work" not in case.content("top").split()


@both
def test_owners_modes_and_a_new_user_are_kept_in_the_manifest(case: Case) -> None:
    script = (
        "useradd --system --uid 555 --no-create-home daemon-x\nchown daemon-x:root /var/lib/subject\nchmod 2750 /var/lib/subject\n"
        "chown -h daemon-x /var/lib/subject-link\necho x >/var/lib/subject/file\nchown 555:4 /var/lib/subject/file\n"
        "chmod 6755 /usr/bin/raised\n"
    )
    files = {
        "var/lib/subject": Folder(),
        "var/lib/subject-link": Link("subject"),
        "usr/bin/raised": File(b"#!/bin/sh\n", 0o755),
        "usr/bin/shipped-raised": File(b"#!/bin/sh\n", 0o4755),
        "usr/share/games": File(b"x", 0o640, (0, 60), ("root", "games")),
    }
    case.install(postinst(script, files=files, depends="passwd"))
    found = case.entries()
    facts = {path: (found[path].mode, found[path].uid, found[path].gid) for path in found}
    assert facts["var/lib/subject"] == (0o2750, 555, 0)
    assert facts["var/lib/subject-link"][1:] == (555, 0)
    assert facts["var/lib/subject/file"] == (0o644, 555, 4)
    assert facts["usr/bin/raised"][0] == 0o6755
    assert facts["usr/bin/shipped-raised"] == (0o4755, 0, 0)
    assert facts["usr/share/games"] == (0o640, 0, 60)
    assert b"daemon-x:x:555:" in case.content("etc/passwd")
    assert not case.run("dpkg", "--verify", "subject")


def test_no_file_is_younger_than_the_archive(case: Case) -> None:
    case.install(
        postinst("echo now >/etc/now\ntouch -d '2031-01-01' /etc/later\ntouch -d '2001-02-03T00:00:00Z' /etc/earlier\n")
    )
    epoch = case.read_lock().epoch
    found = case.entries()
    assert found["var/lib/dpkg/status"].mtime == epoch
    assert found["etc/now"].mtime == found["etc/later"].mtime == epoch
    assert found["etc/earlier"].mtime == 981158400


def test_what_a_script_writes_does_not_reach_the_unpacked_package(case: Case) -> None:
    files = {"etc/subject.conf": "before\n", "usr/share/a": "a", "usr/share/b": HardLink("./usr/share/a")}
    case.install(
        postinst("echo after >>/etc/subject.conf\necho more >>/usr/share/a\nrm /usr/share/doc -rf\n", files=files)
    )
    assert case.content("etc/subject.conf") == b"before\nafter\n"
    case.verify()  # the package tree is what its manifest says
    case.forget_layers()
    case.envbox("build")
    assert case.content("etc/subject.conf") == b"before\nafter\n"


def test_a_file_that_a_script_removes_is_gone(case: Case) -> None:
    case.install(
        postinst("rm /usr/share/gone /etc/debian_version\n", files={"usr/share/gone": "x", "usr/share/stays": "x"})
    )
    assert not {"usr/share/gone", "etc/debian_version"} & case.entries().keys()
    assert case.run("sh", "-c", "ls /usr/share/gone /etc/debian_version 2>/dev/null | wc -l").strip() == "0"


def test_what_was_asked_for_is_marked_manual_and_the_rest_automatic(case: Case) -> None:
    case.add(DebRecipe("wanted", depends="needed"), DebRecipe("needed"))
    case.spec("wanted")
    case.envbox("lock")
    assert case.run("apt-mark", "showauto").split() == ["needed"]
    assert "wanted" in case.run("apt-mark", "showmanual").split()


def test_the_same_packages_give_the_same_layers_whatever_their_scripts_do_with_time_and_names(case: Case) -> None:
    script = "date >/var/log/dpkg.log\ndd if=/dev/urandom of=/etc/machine-id count=1 2>/dev/null\nid -u >/uid\nuname -n >/node\numask >/mask\n"
    case.install(postinst(script))
    before = case.digests()
    case.forget_layers()
    time.sleep(1.1)
    case.umask = 0o077
    case.environment = {"TZ": "Asia/Seoul", "LANG": "ko_KR.UTF-8", "LC_ALL": "ko_KR.UTF-8", "HOSTTYPE": "x"}
    case.envbox("build")
    assert case.digests() == before


def test_a_layer_that_does_not_reproduce_is_told_with_the_file_that_differs(case: Case) -> None:
    case.install(postinst("head -c 8 /dev/urandom >/etc/lucky-number\n"))
    locked = case.lock.read_bytes()
    case.forget_layers()
    parts = (
        "packages, configured",
        "/etc/lucky-number: content",
        "build to build",
        "what was built: ",
        "second build gave: ",
    )
    told = case.fails("build", code="EB-DIGEST", status=3, parts=parts)
    assert case.lock.read_bytes() == locked
    trees = re.findall(r"(?:built|gave): (\S+)$", told, re.MULTILINE)
    numbers = {Path(tree, "etc/lucky-number").read_bytes() for tree in trees}
    assert len(numbers) == 2, "both are kept"
    command = re.search(r"`envbox (diff --files [0-9a-f]+ [0-9a-f]+)`", told)
    assert command
    assert "/etc/lucky-number: content" in case.envbox(*command[1].split()).output
    case.envbox("update")
    case.envbox("build")
    case.envbox("gc")
    assert not any(Path(tree).exists() for tree in trees)


def access_list(path: str, *entries: tuple[int, int, int]) -> str:
    """A command that sets it (acl(5), version 2): entries of tag, permissions, id."""
    rows = "".join(struct.pack("<HHI", *entry).hex() for entry in entries)
    return (
        f'perl -e \'$list = pack("H*", "02000000{rows}"); $name = "system.posix_acl_access"; $path = "{path}";'
        " $number = `uname -m` =~ /x86_64/ ? 188 : 5;"
        " exit(syscall($number, $path, $name, $list, length $list, 0) == 0 ? 0 : 1)'\n"
    )


@both
def test_an_access_list_for_a_user_of_the_environment_does_not_fail_and_is_not_kept(case: Case) -> None:
    nobody = 0xFFFFFFFF
    plain = ((1, 7, nobody), (4, 1, nobody), (32, 4, nobody))
    case.install(
        postinst(
            "mkdir /var/lib/listed /var/lib/changed\n"
            + access_list(
                "/var/lib/listed", (1, 7, nobody), (4, 5, nobody), (8, 5, 4), (16, 5, nobody), (32, 5, nobody)
            )
            + access_list("/var/lib/changed", *plain)
            + "echo one >/var/lib/edited; sed -i s/one/two/ /var/lib/edited\n"
        )
    )
    found = case.entries()
    assert found["var/lib/listed"].mode == 0o755
    assert found["var/lib/changed"].mode == 0o714, "such a list is another way to change a mode"
    assert found["var/lib/edited"].mode == 0o644
