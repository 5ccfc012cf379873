"""Mount targets are found as a process inside would find them, and never outside."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbox.sandbox.libc import system_call
from envbox.sandbox.targets import open_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = st.sampled_from(["a", "b", "c", "..", "."])
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
LINK_TEXTS = st.one_of(PATHS, PATHS.map("/".__add__), PATHS.map("../../../".__add__))
TREES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "a/a", "a/b", "b/a", "b/c", "a/b/c"]), st.one_of(st.none(), LINK_TEXTS)
)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    inside = tmp_path / "root"
    inside.mkdir()
    descriptor = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield descriptor, inside
    os.close(descriptor)


def place_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def make_tree(folder: str, tree: dict[str, str | None]) -> None:
    for path in sorted(tree):
        if not os.path.lexists(os.path.join(folder, path)):
            text = tree[path]
            parent = os.path.dirname(os.path.join(folder, path))
            if not os.path.isdir(parent) or os.path.realpath(parent) != parent:
                continue
            if text is None:
                os.mkdir(os.path.join(folder, path))
            else:
                os.symlink(text, os.path.join(folder, path))


def kernel_says(root: int, path: str) -> tuple[int, int] | None:
    """What openat2(RESOLVE_IN_ROOT) finds: the kernel's own idea of the same lookup."""
    how = (os.O_PATH | os.O_CLOEXEC).to_bytes(8, "little") + bytes(8) + (0x10).to_bytes(8, "little")
    try:
        descriptor = system_call(437, root, os.fsencode(path), how, len(how))
    except OSError:
        return None
    status = os.fstat(descriptor)
    os.close(descriptor)
    return status.st_dev, status.st_ino


@settings(max_examples=200)
@given(tree=TREES, path=PATHS)
def test_links_lead_where_the_kernel_would_go_and_never_out(tree: dict[str, str | None], path: str) -> None:
    with tempfile.TemporaryDirectory() as outer:
        os.mkdir(f"{outer}/root")
        make_tree(f"{outer}/root", tree)
        root = os.open(f"{outer}/root", os.O_PATH | os.O_DIRECTORY)
        try:
            expected = kernel_says(root, path)
            try:
                target = open_target(root, path, folder=True, follow=True)
            except OSError as error:
                reason = error.errno
            else:
                reason = 0
            if reason == errno.EBUSY:
                status = os.fstat(root)
                assert expected in (None, (status.st_dev, status.st_ino))
            if reason:
                assert reason in (errno.ELOOP, errno.EBUSY)
                return
            found = os.fstat(target.descriptor)
            assert place_of(target.descriptor).startswith(f"{outer}/root/")
            assert os.path.samestat(found, os.fstat(target.reopen()))
            if expected is not None:
                assert (found.st_dev, found.st_ino) == expected
            assert os.listdir(outer) == ["root"]
        finally:
            os.close(root)


@pytest.mark.parametrize("text", ["/etc", "../../etc", "../outside", "nowhere", "loop"])
@pytest.mark.parametrize("path", ["loop", "loop/below"])
def test_a_core_target_may_not_be_or_pass_through_a_link(
    root: tuple[int, Path], tmp_path: Path, text: str, path: str
) -> None:
    descriptor, inside = root
    (tmp_path / "outside").mkdir()
    os.symlink(text, inside / "loop")
    with pytest.raises(OSError, match="symbolic links") as caught:
        open_target(descriptor, path, folder=True, follow=False)
    assert caught.value.errno == errno.ELOOP
    assert list((tmp_path / "outside").iterdir()) == []


def test_missing_parts_are_made_with_mode_755_and_a_file_for_a_file(root: tuple[int, Path]) -> None:
    descriptor, inside = root
    open_target(descriptor, "/a/b/file", folder=False, follow=True)
    assert (inside / "a/b/file").is_file()
    assert (inside / "a").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(("folder", "number"), [(True, errno.ENOTDIR), (False, errno.EISDIR)])
def test_a_folder_is_not_mounted_on_a_file_nor_a_file_on_a_folder(
    root: tuple[int, Path], folder: bool, number: int
) -> None:
    descriptor, inside = root
    (inside / "file").touch()
    (inside / "folder").mkdir()
    with pytest.raises(OSError, match="directory") as caught:
        open_target(descriptor, "file" if folder else "folder", folder=folder, follow=True)
    assert caught.value.errno == number


@pytest.mark.parametrize("path", ["/", "", "a/..", ".."])
def test_the_root_itself_is_no_target(root: tuple[int, Path], path: str) -> None:
    with pytest.raises(OSError, match="busy") as caught:
        open_target(root[0], path, folder=True, follow=True)
    assert caught.value.errno == errno.EBUSY
