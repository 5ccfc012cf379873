"""Every path, type, mode, owner, size and content equal those of mmdebstrap's tree, but for the rows below."""

from __future__ import annotations

import fnmatch

import pytest

from envbox import lock as locks
from envbox.store import manifest
from envbox.store.view import View
from tests.support import oracle

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("only_root")]

ABSENT, PRESENT, OTHER = "only mmdebstrap has it", "only envbox has it", "differs"

# What is expected to differ: how, at which paths, and why.
BASE_ROWS = [
    (ABSENT, "dev/*", "device nodes need privileges; a session has a fresh /dev"),
    (ABSENT, "run/lock", "made by mmdebstrap; /run is a file system of its own in builds and sessions"),
    (ABSENT, "etc/apt/sources.list", "mmdebstrap writes its command line's sources there"),
    (
        PRESENT,
        "etc/apt/sources.list.d/debian.sources",
        "the same sources, in the format and place of Debian's installer",
    ),
    (ABSENT, "etc/hostname", "mmdebstrap copies the building host's; a session has its environment's name"),
    (ABSENT, "etc/resolv.conf", "mmdebstrap copies the building host's; a session has its host's"),
    (ABSENT, "etc/fstab", "mmdebstrap writes an empty one; an environment has no file systems to mount"),
    (ABSENT, "etc/.pwd.lock", "a lock file, normalised away"),
    (ABSENT, "etc/passwd-", "the state before the last change, normalised away"),
    (ABSENT, "etc/group-", "as above"),
    (ABSENT, "etc/shadow-", "as above"),
    (ABSENT, "etc/gshadow-", "as above"),
    (ABSENT, "var/lib/dpkg/*-old", "as above"),
    (ABSENT, "var/cache/debconf/*-old", "as above"),
    (ABSENT, "var/lib/dpkg/lock", "a lock file, normalised away"),
    (ABSENT, "var/lib/dpkg/lock-frontend", "as above"),
    (ABSENT, "var/lib/dpkg/triggers/Lock", "as above"),
    (ABSENT, "var/lib/apt/lists/lock", "a lock file: apt downloaded nothing here"),
    (ABSENT, "var/cache/apt/archives/lock", "as above"),
    (OTHER, "var/lib/apt/lists/partial", "apt takes the folder for its own user when it downloads, which it did not"),
    (OTHER, "var/cache/apt/archives/partial", "as above"),
    (ABSENT, "var/lib/dpkg/arch", "mmdebstrap writes the architecture that dpkg assumes without the file"),
]
BARE_ROWS = [
    *BASE_ROWS,
    (
        ABSENT,
        "var/lib/apt/extended_states",
        "marks of what apt chose; envbox's base is chosen whole, none of it is automatic",
    ),
]
GEO_ROWS = [
    *BASE_ROWS,
    (
        OTHER,
        "usr/share/python3/debpython/__pycache__/*",
        "with mmdebstrap dated, or checked by hash, after which script happens to import them first; here by hash",
    ),
    (OTHER, "var/lib/apt/extended_states", "as for a bare base, and sorted: compared by its own test"),
    (OTHER, "var/lib/dpkg/triggers/File", "in the order of unpacking, which is by name here: compared by its own test"),
    (PRESENT, "var/cache/fontconfig/*-le64.cache-9", "fontconfig drops its caches where folders are younger (#864082)"),
    (ABSENT, "var/log/fontconfig.log", "in the order of the file system, normalised away"),
]


def ours(world):
    """The merged manifest of the packages' layers, and the folders they are in, the highest first."""
    lock = locks.load(str(world.lock))
    digests = [digest for group in lock.groups for digest in (group.unpacked, group.configured)]
    folders = [world.store / "layers-v1" / digest.hex for digest in digests]
    return View(manifest.read(str(folder)) for folder in folders), folders[::-1]


def text(world, path):
    _, folders = ours(world)
    found = next((folder / "tree" / path for folder in folders if (folder / "tree" / path).exists()), None)
    return found.read_text() if found else ""


def theirs(world, codename, cellar):
    lock = locks.load(str(world.lock))
    versions = str([(a.name, a.version) for group in lock.groups for a in group.artifacts])
    requested = [name for group in lock.groups for name in group.requested]
    return oracle.installed(codename, requested, lock.epoch, versions, cellar.folder)


def unexpected(differences, rows):
    """Differences that no row explains, and rows that explain nothing."""
    used = set()
    left = {}
    for path, what in sorted(differences.items()):
        kind = what if what in {ABSENT, PRESENT} else OTHER
        row = next((row for row in rows if row[0] == kind and fnmatch.fnmatchcase(path, row[1])), None)
        if row is None:
            left[path] = what
        else:
            used.add(row)
    return left, [row for row in rows if row not in used]


def compare(world, codename, cellar, rows, optional=()):
    other = theirs(world, codename, cellar)
    view, _ = ours(world)
    mine = oracle.facts_of_entries(view.entries())
    status = other.texts["var/lib/dpkg/status"]
    assert text(world, "var/lib/dpkg/status") == status, "not the same packages, or not in the same state"
    assert len(mine) > 5000
    left, idle = unexpected(oracle.differences(mine, other.facts), rows)
    assert left == {}
    assert [row for row in idle if row[1] not in optional] == []


@pytest.mark.parametrize(("base", "codename"), [("debian:12", "bookworm"), ("debian:13", "trixie")])
def test_a_bare_base_equals_mmdebstraps(base, codename, world_for_one_test, runner, cellar):
    world = world_for_one_test(runner, f'name = "bare"\nbase = "{base}"\n')
    world.envbox("lock")
    # Which of them there are depends on the release.
    optional = {"etc/shadow-", "etc/gshadow-", "etc/passwd-", "etc/group-", "etc/.pwd.lock"}
    compare(world, codename, cellar, BARE_ROWS, optional)


def test_the_geo_environment_equals_mmdebstraps(geo, cellar):
    compare(
        geo, "trixie", cellar, GEO_ROWS, {"etc/shadow-", "etc/gshadow-", "usr/share/python3/debpython/__pycache__/*"}
    )


def test_what_is_in_another_order_is_otherwise_the_same(geo, cellar):
    other = theirs(geo, "trixie", cellar)
    path = "var/lib/dpkg/triggers/File"
    assert sorted(text(geo, path).splitlines()) == sorted(other.texts[path].splitlines())
    path = "var/lib/apt/extended_states"
    mine, others = (set(states.strip().split("\n\n")) for states in (text(geo, path), other.texts[path]))
    lock = locks.load(str(geo.lock))
    base = {artifact.name for artifact in lock.groups[0].artifacts}
    assert mine <= others
    assert {record.split("\n")[0].removeprefix("Package: ") for record in others - mine} <= base
    requested = set(lock.groups[1].requested)
    added = {artifact.name for artifact in lock.groups[1].artifacts}
    assert {record.split("\n")[0].removeprefix("Package: ") for record in mine} == added - requested


def test_a_planted_difference_is_found(minimal):
    view, _ = ours(minimal)
    facts = oracle.facts_of_entries(view.entries())
    path = "usr/bin/bash"
    planted = {**facts, path: facts[path].__class__("file", 0o755, (0, 1), facts[path].size, facts[path].content)}
    planted["etc/surprise"] = facts[path]
    del planted["usr/bin/cat"]
    left, _ = unexpected(oracle.differences(planted, facts), GEO_ROWS)
    assert left == {path: "owner: (0, 1) != (0, 0)", "etc/surprise": PRESENT, "usr/bin/cat": ABSENT}
