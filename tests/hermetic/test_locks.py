"""Locks that do not fit: each told with what changed and the one command that mends it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
HELLO = DebRecipe("hello", files={"usr/bin/hello": "#!/bin/sh\necho hello\n"})


@pytest.fixture
def locked(case: Case) -> Case:
    case.add(HELLO, DebRecipe("other"))
    case.spec("hello")
    case.envbox("lock")
    return case


@pytest.mark.parametrize("command", ["build", "run"])
def test_a_stale_lock_is_told_with_everything_that_changed(locked: Case, command: str) -> None:
    before = locked.lock.read_bytes()
    locked.spec("other", base={"name": "debian:12"})
    parts = ("envbox.lock is out of date", "packages: other is in envbox.toml, not in envbox.lock",
             "packages: hello is in envbox.lock, not in envbox.toml", "base: debian:12 in envbox.toml, debian:13 in envbox.lock",
             "hint: run `envbox lock`")  # fmt: skip
    arguments = ("run", "--", "true") if command == "run" else ("build",)
    locked.fails(*arguments, code="EB-STALE", status=1, parts=parts)
    assert locked.lock.read_bytes() == before


def test_a_change_that_the_lock_does_not_record_needs_no_new_lock(locked: Case) -> None:
    before = locked.lock.read_bytes()
    locked.spec("hello", more='[variables]\nGREETING = "hi"\n')
    assert locked.run("sh", "-c", "echo $GREETING") == "hi\n"
    assert locked.lock.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "envbox.lock"),
        (b"\xff\xfe", "not UTF-8"),
        (b"this is no lock\n", "envbox.lock"),
        (b"<<<<<<< ours\n=======\n>>>>>>> theirs\n", "conflict"),
    ],
)
def test_a_lock_that_cannot_be_read_is_told(locked: Case, content: bytes, part: str) -> None:
    locked.lock.write_bytes(content)
    locked.fails("build", code="EB-LOCK", status=1, parts=(part, "hint:"))
    locked.fails("status", code="EB-LOCK", status=1, parts=(part, "hint:"))


def test_a_lock_cut_anywhere_is_told(locked: Case) -> None:
    whole = locked.lock.read_bytes()
    for at in range(50, len(whole) - 1, len(whole) // 5):
        locked.lock.write_bytes(whole[:at])
        result = locked.envbox("build", status=1)
        assert "Traceback" not in result.errors, str(result)
        assert re.search(r"\[EB-(LOCK|STALE)\]", result.errors), str(result)


def test_a_merge_conflict_in_a_lock_is_told_as_one(locked: Case) -> None:
    text = locked.lock.read_text()
    middle = text.index("[[")
    locked.lock.write_text(f"{text[:middle]}<<<<<<< HEAD\n=======\n>>>>>>> topic\n{text[middle:]}")
    locked.fails("build", code="EB-LOCK", status=1, parts=("envbox.lock", "conflict", "hint:"))


def test_a_lock_of_another_architecture_is_told(locked: Case) -> None:
    locked.lock.write_text(locked.lock.read_text().replace('"amd64"', '"arm64"'))
    locked.fails("build", code="EB-LOCK", status=1, parts=("is for arm64, this machine is amd64", "hint:"))


def test_a_layer_that_is_not_the_promised_one_is_told(locked: Case) -> None:
    digest = locked.digests()[-1]
    locked.lock.write_text(locked.lock.read_text().replace(digest, f"sha256:{'0' * 64}"))
    locked.fails("build", code="EB-DIGEST", status=3, parts=("packages, configured", "0" * 12, "hint:"))


def test_locking_twice_gives_the_same_bytes(locked: Case) -> None:
    before = locked.lock.read_bytes()
    locked.envbox("lock")
    assert locked.lock.read_bytes() == before


@both
def test_status_tells_where_a_project_stands(case: Case) -> None:
    case.add(HELLO)
    case.spec("hello")
    assert "none yet" in case.envbox("status").output
    facts = json.loads(case.envbox("status", "--json").output)
    assert (facts["locked"], facts["built"], facts["name"], facts["base"]) == (False, False, "demo", "debian:13")
    case.envbox("lock")
    facts = json.loads(case.envbox("status", "--json").output)
    assert (facts["locked"], facts["built"], facts["mismatches"]) == (True, True, [])
    assert [layer["digest"] for layer in facts["layers"]] == case.digests()
    case.spec()
    told = case.envbox("status").output
    assert "out of date" in told
    assert "packages: hello is in envbox.lock, not in envbox.toml" in told
