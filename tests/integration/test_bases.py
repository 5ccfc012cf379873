"""Bases without packages, of the real archive, built by root and by a plain user."""

from __future__ import annotations

import email.utils
import re
import time
import urllib.request

import pytest

from envbox.distros import DISTROS

pytestmark = pytest.mark.real

# What `dpkg --verify` misses, and why: nothing that is normalised away belongs to a package of a bare base.
MISSED: dict[str, str] = {}


def spec(base: str) -> str:
    return f'name = "bare"\nbase = "{base}"\n'


def seconds_since_expiry(base):
    """How long ago the archive's promise to be current ended; an archive that is frozen or mirrored late has one."""
    folder = base.removeprefix("debian:")
    with urllib.request.urlopen(f"{DISTROS['debian'].url}/dists/{folder}/InRelease", timeout=60) as answer:
        found = re.search(rb"^Valid-Until: (.*)$", answer.read(), re.MULTILINE)
    return time.time() - email.utils.parsedate_to_datetime(found[1].decode()).timestamp() if found else 0.0


def lock_in_two_worlds(first, second):
    """Both locks; once more should the archive have been updated in between."""
    for _ in range(2):
        first.envbox("lock")
        second.envbox("lock")
        texts = first.lock.read_text(), second.lock.read_text()
        states = [re.findall(r"^release = .*$", text, re.MULTILINE) for text in texts]
        if states[0] == states[1]:
            break
    return texts


@pytest.mark.parametrize("base", ["debian:11", "debian:12", "debian:13", "debian:forky"])
def test_root_and_a_plain_user_lock_and_build_the_same_bytes(base, world_for_one_test, runner, plain):
    mine, theirs = world_for_one_test(runner, spec(base)), world_for_one_test(plain, spec(base))
    if base == "debian:forky":
        expired = seconds_since_expiry(base)
        if expired > 0:
            assert "[EB-SIGNATURE]" in mine.envbox("lock", status=3).errors
            mine.behind = theirs.behind = expired + 3600
    first, second = lock_in_two_worlds(mine, theirs)
    assert "configured" in first
    assert first == second
    assert mine.layers() == theirs.layers()
    for world in (mine, theirs):
        assert "Reading package lists" in world.run_as_root("apt-get", "check")


@pytest.mark.parametrize("base", ["debian:12", "debian:13"])
def test_dpkg_has_nothing_to_say_of_a_base(base, world_for_one_test, runner, plain):
    for person in (runner, plain):
        world = world_for_one_test(person, spec(base))
        world.envbox("lock")
        assert world.run_as_root("dpkg", "--audit") == ""
        found = {line.split()[-1] for line in world.run_as_root("dpkg", "--verify", status=None).splitlines()}
        assert found == MISSED.keys()


def test_dpkg_has_nothing_to_say_of_hundreds_of_packages(geo, geo_plain):
    for world in (geo, geo_plain):
        assert world.run_as_root("dpkg", "--audit") == ""
        assert world.run_as_root("dpkg", "--verify", status=None) == ""
        assert "Building dependency tree" in world.run_as_root("apt-get", "check")
