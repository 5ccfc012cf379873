"""Copies, whether or not the file system shares blocks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from envbox.host import reflink

if TYPE_CHECKING:
    from pathlib import Path

TIME = 1_700_000_000


@pytest.mark.parametrize("can", [True, False], ids=["as it is", "without"])
def test_a_copy_has_content_mode_time_and_attributes(
    tmp_path: Path, can: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can:
        monkeypatch.setattr(reflink, "_FICLONE", 0)  # which no file system knows
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"content" * 300_000)
    os.setxattr(source, "user.envbox.owner", b"1:2")
    source.chmod(0o4711)
    os.utime(source, (TIME, TIME))
    reflink.copy(str(source), str(target))
    assert target.read_bytes() == source.read_bytes()
    assert (target.stat().st_mode, target.stat().st_mtime) == (source.stat().st_mode, TIME)
    assert os.getxattr(target, "user.envbox.owner") == b"1:2"
    assert not target.samefile(source)
    with pytest.raises(FileExistsError):
        reflink.copy(str(source), str(target))


def test_a_link_is_copied_as_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    reflink.copy(str(tmp_path / "link"), str(tmp_path / "copy"))
    assert os.readlink(tmp_path / "copy") == "nowhere"


def test_two_file_systems_share_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with open("/proc/self/status", "rb") as source, open(tmp_path / "file", "r+b") as target:
        assert not reflink.clone(source.fileno(), target.fileno())
    assert (tmp_path / "file").read_bytes() == b"old"
