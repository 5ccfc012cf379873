"""Packages added to an environment: one more group on top, from the archive as it was locked."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from envbox.formats import toml
from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
HELLO = DebRecipe("hello", files={"usr/bin/hello": "#!/bin/sh\necho hello\n"})
OTHER = DebRecipe("other", depends="libother", files={"usr/bin/other": "#!/bin/sh\necho other\n"})
LIBRARY = DebRecipe("libother", files={"usr/lib/libother.txt": "1"})


@pytest.fixture
def locked(case: Case) -> Case:
    case.add(HELLO, OTHER, LIBRARY)
    case.spec("hello")
    case.envbox("lock")
    return case


def groups(case: Case) -> dict[str, list[str]]:
    return {group.name: [a.name for a in group.artifacts] for group in case.read_lock().groups if group.name != "base"}


@pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
def test_what_is_added_comes_as_a_group_on_top_and_nothing_below_is_built_again(locked: Case) -> None:
    before = locked.digests()
    told = locked.envbox("add", "other").output
    assert told == "Added other: built 2 layers of 6.\n"
    assert groups(locked) == {"packages": ["hello"], "packages-2": ["libother", "other"]}
    assert locked.digests()[:4] == before
    assert 'packages = ["hello", "other"]' in (locked.folder / "envbox.toml").read_text()
    assert locked.run("sh", "-c", "hello; other") == "hello\nother\n"
    assert locked.run("apt-mark", "showauto", "libother", "other") == "libother\n"
    locked.envbox("lock", "--check")
    locked.verify()


def test_a_second_machine_builds_the_same_layers_from_the_lock_with_groups(locked: Case) -> None:
    locked.envbox("add", "other")
    digests = locked.digests()
    shutil.rmtree(locked.store / "layers-v1")
    shutil.rmtree(locked.store / "keys-v1")
    locked.envbox("build")
    assert locked.digests() == digests


def test_what_is_added_is_of_the_archive_as_it_was_locked_and_update_takes_the_newest(locked: Case) -> None:
    locked.add(DebRecipe("hello", "9.0"), DebRecipe("other", "9.0"))
    locked.envbox("add", "other")
    assert locked.run("dpkg-query", "-W", "-f", "${Version}\n", "hello", "other") == "1.0\n1.0\n"
    locked.envbox("update")
    assert locked.run("dpkg-query", "-W", "-f", "${Version}\n", "hello", "other") == "9.0\n9.0\n"
    assert groups(locked) == {"packages": ["hello", "other"]}


def test_locking_again_keeps_what_is_locked_although_the_archive_has_newer_ones(locked: Case) -> None:
    before = locked.lock.read_bytes()
    locked.add(DebRecipe("hello", "9.0"))
    locked.envbox("lock")
    assert locked.lock.read_bytes() == before


def test_a_package_written_into_the_spec_by_hand_is_appended_by_lock(locked: Case) -> None:
    before = locked.digests()
    locked.spec("hello", "other")
    locked.envbox("lock")
    assert locked.digests()[:4] == before
    assert locked.run("other") == "other\n"


def test_a_package_that_came_after_the_lock_makes_all_be_chosen_anew_which_is_told(locked: Case) -> None:
    locked.add(DebRecipe("newcomer"), DebRecipe("hello", "9.0"))
    told = locked.envbox("add", "newcomer").errors
    assert "no package 'newcomer'" in told
    assert "choosing all anew" in told
    assert groups(locked) == {"packages": ["hello", "newcomer"]}
    assert locked.run("dpkg-query", "-W", "-f", "${Version}", "hello") == "9.0"


def test_a_package_that_needs_another_version_of_what_is_there_makes_all_be_chosen_anew(case: Case) -> None:
    case.add(DebRecipe("shared", "1.0"), DebRecipe("shared", "2.0"), DebRecipe("user", depends="shared (>= 2)"))
    case.spec("shared=1.0")
    case.envbox("lock")
    told = case.fails("add", "user", code="EB-CONFLICT", status=1, parts=("user", "shared"))
    assert "choosing" in told
    told = case.envbox("remove", "shared").errors
    assert "shared is asked for no more" in told
    case.envbox("add", "user")
    assert case.run("dpkg-query", "-W", "-f", "${Version}", "shared") == "2.0"


def test_an_added_package_that_is_there_already_builds_nothing(locked: Case) -> None:
    locked.envbox("add", "other")
    before = locked.digests()
    told = locked.envbox("add", "libother").output
    assert told == "Added libother: all layers are here.\n"
    assert locked.digests() == before
    locked.envbox("lock", "--check")


def test_what_is_removed_is_gone_and_the_rest_keeps_its_version(locked: Case) -> None:
    locked.envbox("add", "other")
    locked.add(DebRecipe("hello", "9.0"))
    locked.envbox("remove", "other")
    assert groups(locked) == {"packages": ["hello"]}
    assert locked.run("sh", "-c", "dpkg-query -W -f '${Version}' hello; command -v other || true") == "1.0"
    locked.verify()


@both
def test_an_add_that_fails_changes_nothing(case: Case) -> None:
    case.add(HELLO, DebRecipe("broken", scripts={"postinst": "#!/bin/sh\nexit 7\n"}))
    case.spec("hello")
    case.envbox("lock")
    before = (case.folder / "envbox.toml").read_bytes(), case.lock.read_bytes()
    case.fails("add", "broken", code="EB-BUILD", status=1, parts=("broken",))
    case.fails("add", "helo", code="EB-PACKAGE", status=1, parts=("no package 'helo'", "hello"))
    case.fails("add", "Not a name", code="EB-SPEC", status=1, parts=("nothing was changed",))
    case.fails("remove", "unheard", code="EB-PACKAGE", status=1, parts=("does not ask for 'unheard'", "hello"))
    case.fails("add", code="EB-COMMAND", status=1, parts=("nothing was named",))
    assert ((case.folder / "envbox.toml").read_bytes(), case.lock.read_bytes()) == before
    assert case.run("hello") == "hello\n"


def test_a_misspelt_package_is_told_from_the_lists_in_the_store_when_the_archive_is_gone(locked: Case) -> None:
    shutil.rmtree(locked.server.content / "debian")
    locked.fails("add", "helo", code="EB-PACKAGE", status=1, parts=("no package 'helo'", "near names: hello"))


def test_a_spec_keeps_its_comments(locked: Case) -> None:
    path = locked.folder / "envbox.toml"
    path.write_text(path.read_text().replace("packages = ", "# what we need\npackages = "))
    locked.envbox("lock")
    locked.envbox("add", "other")
    text = path.read_text()
    assert "# what we need\n" in text
    assert toml.loads(text)["packages"] == ["hello", "other"]


def test_a_trigger_of_an_earlier_group_is_heard_and_a_file_of_one_is_not_taken_over(case: Case) -> None:
    listener = DebRecipe("listener", triggers="interest /usr/share/heard\n",
                         scripts={"postinst": "#!/bin/sh\necho $1 >>/heard\n"})  # fmt: skip
    owner = DebRecipe("owner", files={"usr/share/owned": "mine"})
    case.add(listener, owner, DebRecipe("speaker", files={"usr/share/heard/x": "x"}),
             DebRecipe("thief", files={"usr/share/owned": "mine now"}))  # fmt: skip
    case.spec("listener", "owner")
    case.envbox("lock")
    case.envbox("add", "speaker")
    assert case.run("cat", "/heard") == "configure\ntriggered\n"
    case.fails("add", "thief", code="EB-BUILD", status=1, parts=("thief and owner both ship /usr/share/owned",))
