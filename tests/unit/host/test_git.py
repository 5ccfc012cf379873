from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from envbox.errors import LockInvalid
from envbox.host import git, run

if TYPE_CHECKING:
    from pathlib import Path

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")


def call(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@y")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def partial_clone(tmp_path: Path) -> Path:
    """A repository that lacks the file's blob, and says that a program of its choice can fetch it."""
    folder = tmp_path / "project"
    folder.mkdir()
    call(folder, "init", "-q")
    (folder / "envbox.lock").write_text("text")
    call(folder, "add", "envbox.lock")
    call(folder, "commit", "-qm", "x")
    blob = call(folder, "rev-parse", "HEAD:envbox.lock")
    (folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": "ssh://host.invalid/x",
        "core.sshCommand": f"touch {tmp_path}/ran; false",
        "protocol.allow": "always",
    }.items():
        call(folder, "config", key, value)
    return folder


@needs_git
@pytest.mark.parametrize("left_out", ["", "GIT_NO_LAZY_FETCH"], ids=["git-that-knows-all", "older-git"])
def test_no_program_that_the_repository_configures_fetches_what_is_missing(
    partial_clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    monkeypatch.setattr(git, "_OFFLINE", {key: value for key, value in git._OFFLINE.items() if key != left_out})
    with pytest.raises(LockInvalid, match="git has no"):
        git.read(str(partial_clone), "HEAD", "envbox.lock")
    assert not (tmp_path / "ran").exists()


@needs_git
def test_git_left_to_itself_would_run_it(partial_clone: Path, tmp_path: Path) -> None:
    run.run(["git", "-C", str(partial_clone), "cat-file", "blob", "HEAD:./envbox.lock"], capture=True)
    assert (tmp_path / "ran").exists()


def test_what_looks_like_an_option_is_refused_before_git_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))  # where there is no git to be started
    with pytest.raises(LockInvalid, match="is no revision"):
        git.read(str(tmp_path), "--batch-command", "envbox.lock")
