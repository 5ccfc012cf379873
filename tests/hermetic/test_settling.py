"""Caches that packages' own tools write by accident of order or time come out the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.debs import DebRecipe, File, Folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)

# Tools that do what the real ones do with what they are given, so that the order and the dates of it can be seen.
FC_CACHE = '#!/bin/sh\nfind /usr/share/fonts -type d -newermt "@$SOURCE_DATE_EPOCH" >/var/cache/fontconfig/young\n'
INSTALL_INFO = '#!/bin/sh\necho "${1##*/}" >>"$2"\n'
GHC_PKG = """#!/bin/sh
case "$1 $2" in
init*) mkdir "$2"; : >"$2/package.cache" ;;
*register) echo "${4##*/}" >>"${1#*=}/package.cache" ;;
esac
"""
PYTHON = """#!/bin/sh
while read -r file; do echo "$PYTHONHASHSEED" >"$file"; done
"""
POSTINST = """#!/bin/sh
set -e
ls -U /usr/share/info | shuf >/usr/share/info/dir
ls -U /var/lib/ghc/package.conf.d | shuf >/var/lib/ghc/package.conf.d/package.cache
mkdir -p /usr/share/fonts/made
: >/var/cache/fontconfig/left-over
echo 01234567-random >/usr/share/fonts/.uuid
mkdir -p /usr/lib/python3.9/__pycache__ /var/cache/man
echo index >/var/cache/man/index.db
echo random >/usr/lib/python3.9/__pycache__/x.cpython-39.pyc
useradd --system --no-create-home postgres
"""
RECIPE = DebRecipe(
    "subject",
    depends="passwd",
    scripts={"postinst": POSTINST},
    files={
        "usr/bin/fc-cache": File(FC_CACHE.encode(), 0o755),
        "usr/bin/install-info": File(INSTALL_INFO.encode(), 0o755),
        "usr/bin/ghc-pkg": File(GHC_PKG.encode(), 0o755),
        "usr/bin/pg_createcluster": File(b"#!/bin/sh\n", 0o755),
        "usr/bin/man": File(b"#!/bin/sh\necho man 2.9.4\n", 0o755),
        "usr/bin/mandb": File(b"#!/bin/sh\n", 0o755),
        "usr/bin/python3.9": File(PYTHON.encode(), 0o755),
        "usr/lib/python3.9/x.py": "x\n",
        "usr/share/fonts/x.ttf": "x",
        "var/cache/fontconfig": Folder(),
        "var/lib/postgresql": Folder(),
        **{f"usr/share/info/{name}.info": "x" for name in ("b", "c", "a", "Z")},
        **{f"var/lib/ghc/package.conf.d/{name}.conf": "x" for name in ("b", "c", "a", "Z")},
    },
)


@both
def test_caches_are_written_anew_by_name_and_after_their_folders_are_dated(case: Case) -> None:
    case.install(RECIPE)
    pages = case.content("usr/share/info/dir").split()
    assert pages == sorted(pages)
    assert {b"Z.info", b"a.info", b"b.info", b"c.info"} < set(pages)
    packages = case.content("var/lib/ghc/package.conf.d/package.cache")
    assert packages.split() == [b"Z.conf", b"a.conf", b"b.conf", b"c.conf"]
    assert case.content("var/cache/fontconfig/young") == b""
    assert case.content("usr/share/fonts/.uuid") == b"45746e26-0b80-640b-a0a6-4c42c41e953d"
    assert case.content("usr/lib/python3.9/__pycache__/x.cpython-39.pyc") == b"0\n"
    found = case.entries()
    assert "var/cache/fontconfig/left-over" not in found
    assert "var/cache/man/index.db" not in found
    assert found["var/lib/postgresql"].uid == int(
        case.content("etc/passwd").rpartition(b"postgres:x:")[2].split(b":")[0]
    )


SEEN = """#!/bin/sh
set -e
mkdir /seen
umask >/seen/umask
env | sort >/seen/environment
uname -a >/seen/kernel
cat /proc/sys/kernel/osrelease /proc/version >/seen/kernel-files
cat /etc/hostname >/seen/hostname 2>&1 || true
date +%Z >/seen/zone
locale >/seen/language
id >/seen/user
grep -v ' /proc/' /proc/mounts | cut -d ' ' -f 2,3 >/seen/mounts
ls -l /proc/self/fd | wc -l >/seen/descriptors
ulimit -a >/seen/limits
stat -c '%n %a %u %g' / /etc /tmp /run /dev /usr/share/subject >/seen/modes
perl -e 'print $0, join(" ", glob("/dev/*")), "\\n"' >/seen/devices
tty >/seen/terminal 2>&1 || true
ps >/seen/processes 2>/dev/null || true
"""


def test_scripts_see_the_same_whoever_builds_wherever(new_case: Callable[..., Case]) -> None:
    recipe = DebRecipe("subject", scripts={"postinst": SEEN}, files={"usr/share/subject/x": "x"})
    seen = []
    for person, odd in (("runner", False), ("plain", True)):
        case = new_case(person)
        if odd:
            case.umask = 0o077
            case.wrapper = (
                "setarch",
                "--uname-2.6",
                "taskset",
                "--cpu-list",
                "0",
                "prlimit",
                "--nofile=600:5000",
                "--core=0",
                "--stack=1000000:unlimited",
            )
            case.environment = {
                "TZ": "Asia/Seoul", "LANG": "ko_KR.UTF-8", "LC_ALL": "ko_KR.UTF-8", "SHELL": "/bin/zsh", "USER": "nobody",
                "LOGNAME": "nobody", "EDITOR": "ed", "PAGER": "most", "PERL5LIB": "/x",
                "SOURCE_DATE_EPOCH": "7", "DPKG_ROOT": "/x", "MAKEFLAGS": "-j9", "TEST_CLOCK_OFFSET": "8640000",
            }  # fmt: skip
        case.install(recipe)
        names = [path for path, entry in case.entries().items() if path.startswith("seen/") and entry.kind == "file"]
        seen.append({name: case.content(name).decode() for name in sorted(names)})
    assert len(seen[0]) > 12
    assert os.uname().release not in "".join(seen[0].values())
    for name, text in seen[0].items():
        assert text == seen[1][name], name
