"""The same packages installed by the real dpkg, in the same base: envbox must arrive at the same files and the same state.

dpkg runs in a build sandbox too, so that it may be anyone's, but unpacks and configures by itself, from the .debs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from envbox.build_sandbox import BuildSandbox
from envbox.sandbox.spec import Mount
from envbox.store import manifest
from envbox.store.view import View
from tests.support.debs import DebRecipe, File, Folder, HardLink, Link

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.hermetic.kit import Case

SH = "#!/bin/sh\nset -e\n"
ADMIN = "var/lib/dpkg"
# Not the state of any package: caches, logs, locks, previous states, and what only one of the two has to do.
IGNORED = re.compile(
    rf"{ADMIN}/(lock.*|available|updates.*|triggers/Lock|.*-old|status|info/format)|var/log/.*|var/cache/ldconfig/.*"
    r"|var/lib/apt/extended_states|var/lib/apt(/.*)?|run(/.*)?|tmp(/.*)?"
)
UNSORTED = re.compile(rf"{ADMIN}/(info/[^/]*\.(list|md5sums)|diversions|triggers/[^/]+|statoverride)")


class Fact(NamedTuple):
    kind: str
    mode: int
    owner: tuple[int, int]
    content: object


def divert(*lines: str) -> dict[str, str]:
    return {"preinst": SH + "".join(f"{line}\n" for line in lines)}


SETS: dict[str, tuple[DebRecipe, ...]] = {
    "plain-files": (
        DebRecipe(
            "plain",
            files={
                "usr/bin/plain": "#!/bin/sh\n",
                "usr/bin/raised": File(b"#!/bin/sh\n", 0o4755),
                "usr/share/plain/a": "a",
                "usr/share/plain/b": HardLink("./usr/share/plain/a"),
                "usr/share/plain/link": Link("a"),
                "usr/share/plain/dangling": Link("/no/where"),
                "var/mail/box": File(b"x", 0o660, (0, 8), ("root", "mail")),
                "var/empty": Folder(0o700),
                "usr/share/plain/ü ñ": "name",
            },
        ),
    ),
    "conffiles": (
        DebRecipe(
            "settings",
            files={"etc/settings/main.conf": "a = 1\n", "etc/settings/other.conf": "b = 2\n"},
            conffiles=("/etc/settings/main.conf", "/etc/settings/other.conf"),
        ),
        DebRecipe(
            "tuner",
            depends="settings",
            scripts={"postinst": SH + "echo 'c = 3' >>/etc/settings/other.conf\n"},
        ),
    ),
    "runs-hooks-of-packages-that-are-configured": (
        DebRecipe("a-caller", scripts={"postinst": SH + "run-parts /etc/hooks.d >/var/lib/called\n"}),
        DebRecipe(
            "b-hook",
            files={
                "etc/hooks.d/b-hook": File(b"#!/bin/sh\n. /var/lib/b-hook\necho hooked\n", 0o755),
                "etc/hooks.d/not-run.conf": "x\n",
            },
            conffiles=("/etc/hooks.d/b-hook", "/etc/hooks.d/not-run.conf"),
            scripts={"postinst": SH + "echo true >/var/lib/b-hook\n"},
            depends="a-caller",
        ),
    ),
    "old-layout": (
        DebRecipe("oldies", files={"bin/oldie": "#!/bin/sh\n", "lib/oldie/x": "x", "sbin/old-admin": "#!/bin/sh\n"}),
        DebRecipe("runner", files={"var/run/runner/keep": "x"}),
    ),
    "below-anothers-link": (
        DebRecipe("a-owner", files={"usr/share/real/x": "x", "usr/share/alias": Link("real")}),
        DebRecipe("b-guest", files={"usr/share/alias/y": "y"}, fields={"Pre-Depends": "a-owner"}),
    ),
    "replaces": (
        DebRecipe("loser", files={"usr/share/both": "loser", "usr/share/loser": "x"}),
        DebRecipe("winner", files={"usr/share/both": "winner"}, fields={"Replaces": "loser", "Pre-Depends": "loser"}),
    ),
    "replaces-the-base": (
        DebRecipe("newcomer", files={"usr/share/base-files/motd": "mine\n"}, fields={"Replaces": "base-files"}),
    ),
    "diverts-the-base": (
        DebRecipe(
            "diverter",
            files={"usr/bin/which.debianutils": "#!/bin/sh\necho diverted\n"},
            scripts=divert(
                "dpkg-divert --package diverter --divert /usr/bin/which.distrib --rename --add /usr/bin/which.debianutils"
            ),
        ),
    ),
    "diverts-its-neighbour": (
        DebRecipe("a-first", files={"usr/bin/tool": "#!/bin/sh\necho first\n"}),
        DebRecipe(
            "b-second",
            files={"usr/bin/tool": "#!/bin/sh\necho second\n"},
            scripts=divert("dpkg-divert --package b-second --divert /usr/bin/tool.first --rename --add /usr/bin/tool"),
            fields={"Pre-Depends": "a-first"},
        ),
    ),
    "diverts-what-only-it-has": (
        DebRecipe(
            "diverter",
            files={"usr/share/help/help.txt": "mine\n"},
            scripts=divert(
                "dpkg-divert --package diverter --divert /usr/share/help/help.txt.tiny --rename --add /usr/share/help/help.txt"
            ),
        ),
    ),
    "removes-its-own-before-it-is-there": (
        DebRecipe(
            "remover",
            files={
                "usr/share/doc/remover": Link("base-files"),
                "usr/share/remover/a": "a",
                "usr/share/remover/deep/b": File(b"b", 0o600, (0, 8), ("root", "mail")),
                "lib/remover/c": "c",
            },
            scripts=divert("rm -rf /usr/share/doc/remover /usr/share/remover /lib/remover"),
        ),
    ),
    "statoverride": (
        DebRecipe(
            "strict",
            files={"usr/bin/strict": "#!/bin/sh\n", "var/lib/strict": Folder()},
            scripts={
                "postinst": SH
                + "dpkg-statoverride --update --add games games 0750 /var/lib/strict\n"
                + "dpkg-statoverride --update --add root mail 2755 /usr/bin/strict\n",
            },
        ),
    ),
    "file-trigger-of-the-base": (
        DebRecipe(
            "shell-x", files={"usr/bin/xsh": "#!/bin/sh\n", "usr/share/debianutils/shells.d/xsh": "/usr/bin/xsh\n"}
        ),
    ),
    "triggers-within": (
        DebRecipe(
            "a-listener",
            triggers="interest-noawait /usr/share/watched\ninterest spoken\n",
            scripts={"postinst": SH + 'echo "$@" >>/var/lib/heard\n'},
        ),
        DebRecipe(
            "b-speaker",
            files={"usr/share/watched/thing": "x"},
            triggers="activate spoken\n",
        ),
    ),
    "multi-arch-same": (
        DebRecipe(
            "libsame",
            architecture="amd64",
            files={"usr/lib/x86_64-linux-gnu/libsame.so.1": "elf?"},
            fields={"Multi-Arch": "same"},
        ),
    ),
    "ldconfig": (
        DebRecipe(
            "libthing",
            architecture="amd64",
            files={"usr/lib/libthing.so.1": "x"},
            triggers="activate-noawait ldconfig\n",
        ),
    ),
    "script-arguments": (
        DebRecipe(
            "curious",
            scripts={
                name: SH
                + f'echo "{name} $# $*" >>/var/lib/curious\nenv | grep ^DPKG_MAINTSCRIPT_[ANP] | sort >>/var/lib/curious.env\npwd >>/var/lib/curious\n'
                for name in ("preinst", "postinst")
            },
        ),
    ),
    "alternatives": (
        DebRecipe(
            "editor-x",
            files={"usr/bin/editor-x": "#!/bin/sh\n"},
            scripts={"postinst": SH + "update-alternatives --install /usr/bin/editor editor /usr/bin/editor-x 50\n"},
        ),
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_envbox_and_dpkg_arrive_at_the_same(case: Case, name: str, tmp_path: Path) -> None:
    recipes = SETS[name]
    case.install(*recipes)
    ours = {path: fact(entry) for path, entry in case.entries().items()}
    theirs = dpkg(case, recipes, tmp_path)
    problems = [
        f"/{path}: envbox {ours.get(path)}, dpkg {theirs.entries.get(path)}"
        for path in sorted(ours.keys() | theirs.entries.keys())
        if not IGNORED.fullmatch(path) and not same(path, ours, theirs, case)
    ]
    assert not problems, "\n".join(problems)
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version} ${Status} ${Conffiles}\n"]
    assert case.run_as_root(*query) == theirs.query
    assert case.run_as_root("dpkg", "--verify", *(recipe.name for recipe in recipes), status=None) == theirs.verify
    assert not case.run_as_root("dpkg", "--audit")
    case.verify()


class Installed(NamedTuple):
    entries: dict[str, Fact]
    upper: str
    query: str
    verify: str


def dpkg(case: Case, recipes: Iterable[DebRecipe], tmp_path: Path) -> Installed:
    """Install with dpkg itself above the base's layers, as the user who runs the tests."""
    work, debs = tmp_path / "work", tmp_path / "debs"
    work.mkdir()
    debs.mkdir()
    names = [recipe.name for recipe in recipes]
    for recipe in recipes:
        (debs / recipe.filename).write_bytes(recipe.build())
    lock = case.read_lock()
    folders = [
        str(case.store / "layers-v1" / digest.hex)
        for digest in (lock.groups[0].unpacked, lock.groups[0].configured)
        if digest
    ]
    box = BuildSandbox(tuple(f"{folder}/tree" for folder in folders), str(work), lock.epoch).prepare()
    box = box.with_mounts(Mount("bind", "/run/debs", source=str(debs), access="read"))
    files = [f"/run/debs/{recipe.filename}" for recipe in recipes]
    apart = any("Pre-Depends" in recipe.fields for recipe in recipes)  # as apt calls dpkg then
    commands = [f"dpkg --force-unsafe-io -i {file}" for file in (files if apart else [" ".join(files)])]
    done = box.run(["sh", "-ec", "\n".join(commands)])
    assert done.status == 0, (done.stdout + done.stderr).decode()
    query = box.run(["dpkg-query", "-W", "-f", "${Package} ${Version} ${Status} ${Conffiles}\n"]).stdout.decode()
    verify = box.run(["dpkg", "--verify", *names]).stdout.decode()
    upper = list(manifest.scan(box.upper, box.owners()))
    measured, _ = manifest.measure(box.upper, upper)
    entries = View([*(manifest.read(folder) for folder in folders), list(measured)]).entries()
    return Installed({entry.path: fact(entry) for entry in entries}, box.upper, query, verify)


def fact(entry: manifest.Entry) -> Fact:
    kind = "directory" if entry.is_directory else entry.kind
    content = {"file": entry.digest, "symlink": entry.target, "hardlink": entry.target}.get(entry.kind, "")
    mode = 0 if kind in {"symlink", "hardlink"} else entry.mode
    return Fact(kind, mode, (entry.uid, entry.gid), content)


def same(path: str, ours: dict[str, Fact], theirs: Installed, case: Case) -> bool:
    mine, other = ours.get(path), theirs.entries.get(path)
    if mine == other:
        return True
    if mine and other and UNSORTED.fullmatch(path) and mine[:3] == other[:3]:
        with open(f"{theirs.upper}/{path}", "rb") as file:
            return sorted(case.content(path).splitlines()) == sorted(file.read().splitlines())
    return False


@pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
def test_two_packages_with_one_file_are_told_by_name_as_dpkg_would(case: Case) -> None:
    recipes = [DebRecipe(name, files={"usr/share/both": name}) for name in ("one", "two")]
    result = case.install(*recipes, status=None)
    assert result.status == 1, str(result)
    for part in ("one", "two", "/usr/share/both", "[EB-BUILD]", "hint: remove one of them"):
        assert part in result.errors, str(result)


def test_a_package_with_a_file_of_the_base_is_told_by_name(case: Case) -> None:
    result = case.install(DebRecipe("thief", files={"usr/bin/ls": "#!/bin/sh\n"}), status=None)
    assert result.status == 1, str(result)
    for part in ("thief", "coreutils", "/usr/bin/ls", "[EB-BUILD]"):
        assert part in result.errors, str(result)


def test_the_same_file_below_both_names_of_a_merged_folder_is_one_file(case: Case) -> None:
    recipes = [DebRecipe("one", files={"bin/both": "1"}), DebRecipe("two", files={"usr/bin/both": "2"})]
    result = case.install(*recipes, status=None)
    assert result.status == 1, str(result)
    assert "both ship /usr/bin/both" in result.errors
