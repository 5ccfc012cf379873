"""The same bytes, whoever builds, wherever, whenever; and nothing else is ever accepted."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

import pytest

from benchmarks.identity.corpus import environments

pytestmark = pytest.mark.real

NASTY = environments()["nasty"].text
ODD = {"TZ": "Asia/Seoul", "LANG": "ko_KR.UTF-8", "LC_ALL": "ko_KR.UTF-8", "HOSTNAME": "elsewhere"}


@pytest.fixture
def memory(only_root):
    """A folder in memory that everybody can use."""
    place = tempfile.mkdtemp(prefix="envbox-memory-", dir="/var/tmp")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=6g", "envbox-test", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
        os.rmdir(place)


def test_a_second_build_in_an_empty_store_gives_the_same_bytes(nasty, world_for_one_test, runner):
    lock = nasty.lock.read_bytes()
    again = world_for_one_test(runner, NASTY, lock=lock)
    again.envbox("build")
    assert again.lock.read_bytes() == lock
    assert again.layers() == nasty.layers()


def test_a_plain_user_in_memory_with_odd_settings_on_one_core_gives_the_same_bytes(
    nasty, memory, world_for_one_test, plain
):
    lock = nasty.lock.read_bytes()
    world = world_for_one_test(plain, NASTY, lock=lock, parent=memory)
    world.umask, world.environment, world.wrapper = 0o077, ODD, ("taskset", "--cpu-list", "0")
    world.envbox("build")
    assert world.lock.read_bytes() == lock
    assert world.layers() == nasty.layers()
    assert world.run("sh", "-c", "echo $TZ") == "Asia/Seoul\n"


def test_locking_again_gives_the_same_lock(nasty):
    before = nasty.lock.read_text()
    for _ in range(2):  # the archive may be updated in between
        nasty.envbox("lock")
        after, before = before, nasty.lock.read_text()
        if re.findall("^release = .*$", before, re.MULTILINE) == re.findall("^release = .*$", after, re.MULTILINE):
            break
    assert before == after


def test_nothing_in_the_lock_tells_who_wrote_it(nasty):
    text = nasty.lock.read_text()
    for secret in (str(nasty.folder), str(nasty.store), nasty.person.home, os.uname().release):
        assert secret not in text


def test_building_again_does_nothing(nasty):
    assert nasty.envbox("build").output == "Nothing to do: all layers are here.\n"


def test_another_digest_in_the_lock_is_a_broken_promise_that_names_the_files(minimal):
    text = minimal.lock.read_text()
    unpacked = re.search(r'^unpacked = "sha256:(\w+)"$', text, re.MULTILINE)[1]
    configured = re.search(r'^configured = "sha256:(\w+)"$', text, re.MULTILINE)[1]
    minimal.lock.write_text(text.replace(configured, unpacked))
    try:
        result = minimal.envbox("build", status=3)
        assert "[EB-DIGEST]" in result.errors
        assert configured[:8] in result.errors
        assert unpacked[:8] in result.errors
        assert re.search(r"^ +/\S+: ", result.errors, re.MULTILINE)
        assert "[EB-DIGEST]" in minimal.envbox("run", "--", "true", status=3).errors
        assert minimal.lock.read_text() == text.replace(configured, unpacked)
    finally:
        minimal.lock.write_text(text)
    minimal.run("true")


def test_a_digest_nobody_has_is_a_broken_promise_too(minimal):
    text = minimal.lock.read_text()
    configured = re.search(r'^configured = "sha256:(\w+)"$', text, re.MULTILINE)[1]
    other = "0" * 63 + "1"
    minimal.lock.write_text(text.replace(configured, other))
    try:
        result = minimal.envbox("build", status=3)
        assert "[EB-DIGEST]" in result.errors
        assert configured[:8] in result.errors
    finally:
        minimal.lock.write_text(text)
    minimal.run("true")
