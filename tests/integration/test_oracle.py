"""Every path, type, mode, owner, size and content equal those of mmdebstrap's tree, but for those that differ by design."""

from __future__ import annotations

import pytest

from benchmarks.identity import oracle
from benchmarks.identity.by_design import ABSENT, PRESENT
from envbox import lock as locks
from envbox.store import manifest
from envbox.store.view import View
from tests.support import oracle as kept

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("only_root")]


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


def theirs(world, cellar):
    return kept.installed(locks.load(str(world.lock)), world.store / "blobs/sha256", cellar.folder)


def compare(world, cellar):
    other = theirs(world, cellar)
    view, _ = ours(world)
    mine = oracle.ours(view.entries(), lambda path: text(world, path)).facts
    status = other.texts["var/lib/dpkg/status"]
    assert text(world, "var/lib/dpkg/status") == status, "not the same packages, or not in the same state"
    assert len(mine) > 5000
    left, _ = oracle.judge(oracle.differences(mine, other.facts))
    assert left == {}


@pytest.mark.parametrize("base", ["debian:12", "debian:13"])
def test_a_bare_base_equals_mmdebstraps(base, world_for_one_test, runner, cellar):
    world = world_for_one_test(runner, f'name = "bare"\nbase = "{base}"\n')
    world.envbox("lock")
    compare(world, cellar)


def test_the_geo_environment_equals_mmdebstraps(geo, cellar):
    compare(geo, cellar)


def test_the_nasty_environment_equals_mmdebstraps(nasty, cellar):
    compare(nasty, cellar)


def test_what_is_in_another_order_is_otherwise_the_same(geo, cellar):
    other = theirs(geo, cellar)
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
    facts = oracle.ours(view.entries(), lambda path: text(minimal, path)).facts
    path = "usr/bin/bash"
    planted = {
        **facts,
        path: facts[path].__class__("file", 0o755, ("root", "daemon"), facts[path].size, facts[path].content),
    }
    planted["etc/surprise"] = facts[path]
    del planted["usr/bin/cat"]
    left, _ = oracle.judge(oracle.differences(planted, facts))
    assert left == {
        path: "owner: ('root', 'daemon') != ('root', 'root')",
        "etc/surprise": PRESENT,
        "usr/bin/cat": ABSENT,
    }
