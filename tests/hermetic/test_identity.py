"""The same lock from whoever builds it, wherever and whenever."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

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
