"""The same lock from whoever builds it, wherever and whenever."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envbox.lock import dumps
from envbox.store import manifest
from envbox.store.layers import Layers
from envbox.store.store import Store
from tests.support.debs import DebRecipe, File
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hermetic.conftest import Ring
    from tests.hermetic.kit import Case


def test_a_whole_build_by_another_user_umask_zone_language_and_file_system_is_the_same(
    ring: Ring, new_case: Callable[..., Case]
) -> None:
    """From the first byte, with the base itself."""
    first = new_case()
    script = "#!/bin/sh\nset -e\nuseradd --system subject\necho x >/var/lib/subject-state\nchown subject /var/lib/subject-state\n"
    files = {"usr/bin/subject": File(b"#!/bin/sh\n", 0o4755), "etc/subject.conf": "x\n"}
    recipe = DebRecipe(
        "subject", files=files, conffiles=("/etc/subject.conf",), scripts={"postinst": script}, depends="passwd"
    )
    first.install(recipe)
    other = new_case("plain", empty=True)
    with Server(first.debian.folder):
        other.server = first.server
        other.debian = first.debian
        other.spec("subject")
        other.umask = 0o077
        other.environment = {
            "TZ": "Asia/Seoul",
            "LANG": "ko_KR.UTF-8",
            "LC_ALL": "ko_KR.UTF-8",
            "TEST_CLOCK_OFFSET": "8640000",
        }
        memory = Path("/dev/shm")
        if memory.is_dir() and os.access(memory, os.W_OK):
            other.store = memory / f"envbox-test-{os.getpid()}"
            other.store.mkdir()
            other.person.own(other.store)
        try:
            other.envbox("lock")
            assert other.lock.read_bytes() == first.lock.read_bytes()
            other.verify()
        finally:
            from envbox.store.removal import remove_tree

            remove_tree(str(other.store))


def test_a_lock_that_lies_about_a_lower_layer_changes_nothing_for_locks_without_digests(case: Case) -> None:
    script = "#!/bin/sh\nset -e\nmkdir -p /var/lib/subject\ncp /usr/share/subject/* /var/lib/subject\n"
    case.install(DebRecipe("subject", files={"usr/share/subject/data": "good\n"}, scripts={"postinst": script}))
    good, lock = case.digests(), case.read_lock()
    assert lock.groups[1].unpacked
    layers = Layers(Store(str(case.store)))
    lie = case.store / "tmp/lie"
    shutil.copytree(layers.tree(lock.groups[1].unpacked), lie / "tree", symlinks=True)
    (lie / "tree/usr/share/subject/more").write_text("other\n")
    digest = layers.put(str(lie), list(manifest.scan(str(lie / "tree"), {})))
    case.forget_keys()
    groups = (lock.groups[0], replace(lock.groups[1], unpacked=digest, configured=None))
    case.lock.write_text(dumps(replace(lock, groups=groups)))
    case.envbox("build")
    assert case.run("cat", "/var/lib/subject/more") == "other\n", "nobody else's lock says what is to be there"
    case.lock.unlink()
    case.envbox("lock")
    assert case.digests() == good
    case.verify()
