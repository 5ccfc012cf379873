"""Where two locks or layers differ, told from what a person names them by."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")


def package(name: str, version: str, content: str) -> DebRecipe:
    return DebRecipe(name, version, files={f"usr/share/{name}/data": content, f"usr/share/{name}/same": "x"})


def git(case: Case, *arguments: str) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@y")
    case.execute(["git", *identity, *arguments])


def upgraded(case: Case) -> tuple[str, str]:
    """A project whose package went from 1.0 to 1.1, and one was added; the last layers of both."""
    case.add(package("subject", "1.0", "old"), package("more", "2.0", "more"))
    case.spec("subject")
    case.envbox("lock")
    case.write("old.lock", case.lock.read_text())
    before = case.read_lock().groups[1].unpacked
    case.add(package("subject", "1.1", "new"))
    case.spec("subject", "more")
    case.envbox("update")
    after = case.read_lock().groups[1].unpacked
    assert before
    assert after
    return before.hex, after.hex


@both
def test_packages_and_files_that_differ_are_told(case: Case) -> None:
    before, after = upgraded(case)
    told = case.envbox("diff", "old.lock").output
    assert "requested: 1 change\n  + package more more\n" in told
    assert "packages: 2 changes\n  + more 2.0\n  ~ subject 1.0 -> 1.1 (newer)\n" in told
    assert "  /usr/share/subject/data: content [subject]\n" in told
    assert "  /usr/share/more/same: new [more]\n" in told
    assert "/usr/share/subject/same" not in told
    assert told.index("requested") < told.index("packages:") < told.index("packages, unpacked")
    assert f"{before[:12]} -> {after[:12]}" in told
    back = case.envbox("diff", "envbox.lock", "old.lock").output
    assert "  - more 2.0\n  ~ subject 1.1 -> 1.0 (older)\n" in back
    assert "/usr/share/more/same: missing [more]" in back
    assert case.envbox("diff", "envbox.lock").output == f"envbox.lock and {case.lock} are the same.\n"


@needs_git
def test_revisions_of_the_lock_are_compared(case: Case) -> None:
    case.write("old.lock", "")
    git(case, "init", "-q")
    upgraded(case)
    new = case.lock.read_text()
    shutil.copy(case.folder / "old.lock", case.lock)
    git(case, "add", "envbox.lock")
    git(case, "commit", "-qm", "old")
    case.write("envbox.lock", new)
    assert "subject 1.0 -> 1.1 (newer)" in case.envbox("diff").output
    git(case, "commit", "-qam", "new")
    assert "are the same" in case.envbox("diff").output
    assert "subject 1.0 -> 1.1 (newer)" in case.envbox("diff", "HEAD~1").output
    assert "subject 1.1 -> 1.0 (older)" in case.envbox("diff", "HEAD", "HEAD~1").output
    (case.folder / "below").mkdir()
    assert "subject 1.0 -> 1.1 (newer)" in case.envbox("diff", "HEAD~1", cwd=case.folder / "below").output
    case.fails("diff", "no-such-revision", code="EB-LOCK", status=1, parts=("no-such-revision", "hint:"))
    case.fails("diff", "--", "--help", code="EB-LOCK", status=1)


def test_layers_are_compared_by_the_beginning_of_their_digests(case: Case) -> None:
    before, after = upgraded(case)
    facts = json.loads(case.envbox("diff", before[:8], f"sha256:{after}", "--json").output)
    [layer] = facts["layers"]
    assert (layer["before"], layer["after"]) == (f"sha256:{before}", f"sha256:{after}")
    changed = {file["path"]: file["what"] for file in layer["files"]}
    assert changed["usr/share/subject/data"] == "content"
    assert changed["usr/share/more/data"] == "new"
    short = case.envbox("diff", before, after).output
    assert f"{len(changed)} paths" in short
    case.fails("diff", before, "old.lock", code="EB-LOCK", status=1, parts=("one is a lock, the other a layer",))


def test_long_lists_of_files_are_cut_unless_asked_for(case: Case) -> None:
    files = {f"usr/share/many/{number:03}": "x" for number in range(50)}
    case.add(DebRecipe("first"), DebRecipe("many", files=files))
    case.spec("first")
    case.envbox("lock")
    case.write("old.lock", case.lock.read_text())
    case.spec("many")
    case.envbox("update")
    short, long = case.envbox("diff", "old.lock").output, case.envbox("diff", "old.lock", "--files").output
    assert "more (`--files` lists all)" in short
    assert short.count("/usr/share/many/") < 25
    assert long.count("/usr/share/many/") >= 50
    assert "more (" not in long


def test_a_lock_whose_layers_are_not_here_is_told_by_what_it_says(case: Case) -> None:
    upgraded(case)
    case.forget_layers()
    told = case.envbox("diff", "old.lock").output
    assert "subject 1.0 -> 1.1 (newer)" in told
    assert "not both in the store" in told


def test_what_names_nothing_is_told(case: Case) -> None:
    case.install(package("subject", "1.0", "x"))
    case.fails("diff", "./nowhere.lock", code="EB-LOCK", status=1, parts=("there is no ./nowhere.lock",))
    case.write("broken.lock", "nonsense")
    case.fails("diff", "broken.lock", code="EB-LOCK", status=1, parts=("broken.lock",))
    if shutil.which("git"):
        case.fails("diff", code="EB-LOCK", status=1, parts=("HEAD", "hint:"))


def test_comparing_runs_nothing_that_a_repository_configures(case: Case) -> None:
    if not shutil.which("git"):
        pytest.skip("there is no git on this machine")
    case.install(package("subject", "1.0", "x"))
    git(case, "init", "-q")
    case.write(".gitattributes", "envbox.lock diff=evil filter=evil\n")
    subprocess.run(["git", "config", "diff.evil.textconv", "touch evil;cat"], cwd=case.folder, check=True)
    subprocess.run(["git", "config", "diff.evil.command", "touch evil"], cwd=case.folder, check=True)
    git(case, "add", "envbox.lock")
    git(case, "commit", "-qm", "x")
    case.envbox("diff", "HEAD")
    assert not (case.folder / "evil").exists()
