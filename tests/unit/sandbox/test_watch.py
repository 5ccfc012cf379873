"""Which programs are watched, and what a filter makes of where a call comes from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.sandbox import fake_root, seccomp, watch
from envbox.sandbox.callers import EMPTY_PATH, NOFOLLOW
from envbox.sandbox.chown_calls import ChownCall
from envbox.sandbox.stat_calls import StatCall
from envbox.sandbox.watch import UNWATCHED
from tests.unit.sandbox.test_seccomp import ALLOW, NOTIFY, decide

BORDER = (1 << 47) // 32 * 27
STATUS = {"x86_64": (4, 5, 6, 262, 332), "aarch64": (79, 80, 291)}
STARTS = {"x86_64": (59, 322, 161), "aarch64": (221, 281, 51)}
OWNERSHIP = {"x86_64": (92, 93, 94, 260), "aarch64": (54, 55)}
KERNEL = {"x86_64": (63,), "aarch64": (160,)}
ATTRIBUTES = {"x86_64": (188, 189, 190), "aarch64": (5, 6, 7)}


def program(machine: str, border: int) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_root, "_machine", lambda: machine)
        return fake_root.program(border)


@pytest.mark.parametrize("machine", sorted(seccomp.NATIVE))
@given(address=st.integers(0, (1 << 47) - 1))
def test_who_is_told_an_owner_depends_on_where_the_call_comes_from(machine: str, address: int) -> None:
    filter_, architecture = program(machine, BORDER), seccomp.NATIVE[machine]
    for number in STATUS[machine]:
        expected = ALLOW if address >= BORDER else NOTIFY
        assert decide(filter_, architecture, number, (), address) == expected
        assert decide(program(machine, 0), architecture, number, (), address) == NOTIFY
    for number in (*STARTS[machine], *OWNERSHIP[machine], *KERNEL[machine], *ATTRIBUTES[machine]):
        assert decide(filter_, architecture, number, (), address) == NOTIFY


@pytest.mark.parametrize("machine", sorted(seccomp.NATIVE))
def test_every_call_that_is_asked_about_has_a_name(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_root, "_machine", lambda: machine)
    assert sorted(fake_root.calls()) == sorted(
        STATUS[machine] + STARTS[machine] + OWNERSHIP[machine] + KERNEL[machine] + ATTRIBUTES[machine]
    )


@pytest.mark.parametrize("bits", [39, 42, 47, 48])
def test_no_random_offset_moves_a_program_over_the_border(bits: int) -> None:
    size, most_random = 1 << bits, 1 << (bits - 3)
    border, room = watch.border(size), watch.room(size)
    ordinary_stack, stack_offset = 128 << 20, 1 << 34 if bits > 40 else 1 << 30
    assert size - ordinary_stack - stack_offset - most_random >= border  # libraries of what is not watched
    assert border > size * 2 // 3 + most_random  # a static program of any kind, which is always asked about
    assert border > size - room > size - room - most_random > 0  # libraries of what is watched
    assert room < size * 5 // 6  # more, no kernel leaves
    assert border % (1 << 32) == 0  # a filter compares the high half


@pytest.mark.parametrize(
    ("command", "watched"),
    [
        ("/usr/sbin/useradd -m x", True), ("/usr/bin/stat -c %u f", True), ("/bin/sh -c x", True),
        ("/var/lib/dpkg/info/adduser.postinst configure", True), ("/usr/bin/perl -e 1", True), ("", True),
        ("/usr/bin/grep x", False), ("/usr/share/debconf/frontend /x.postinst", False), ("grep x", False),
        ("/usr/bin/sed s/a/b/ f", False), ("/usr/bin/sed -i s/a/b/ f", True), ("sed -ri.old s/a/b/ f", True),
        ("sed --in-place s/a/b/ f", True), ("sed s/-i/b/ f", False),
        ("cp a b", False), ("cp -r a b", False), ("cp -a a b", True), ("cp -dpR a b", True),
        ("cp --preserve=all a b", True), (f"cp {'a ' * 20} -p b", True), ("cp --archive a b", True), ("/usr/bin/test -f x", False),
        ("/usr/bin/test -O x", True), ("[ ! -G x ]", True),
        ("python3 -c 1", True), ("python3.13 -E -S /usr/lib/python3.13/py_compile.py f", False),
        ("python3 -m compileall d", False), ("python2.7 x", True),
    ],
)  # fmt: skip
def test_programs_are_watched_unless_known_not_to_care(command: str, watched: bool) -> None:
    words = [word.encode() for word in command.split()]
    path = words[0] if words else b""
    assert watch.cares(path, lambda: words) is watched


def test_a_command_that_cannot_be_read_is_watched() -> None:
    def unreadable() -> list[bytes]:
        raise OSError(14, "memory")

    assert watch.cares(b"sed", unreadable)
    assert not watch.cares(b"grep", unreadable)


def test_nothing_that_sets_an_owner_goes_unwatched() -> None:
    setters = "chown chgrp install mv tar cpio rsync cp sed dpkg useradd passwd usermod groupadd adduser perl sh bash"
    assert not {name.encode() for name in setters.split()} & UNWATCHED


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("stat", (10, 20), (-100, 10, 0, 20, "stat")),
        ("lstat", (10, 20), (-100, 10, NOFOLLOW, 20, "stat")),
        ("fstat", (7, 20), (7, 0, EMPTY_PATH, 20, "stat")),
        ("newfstatat", (0xFFFFFF9C, 10, 20, 0x100), (-100, 10, NOFOLLOW, 20, "stat")),
        ("newfstatat", (7, 10, 20, 0x1000), (7, 10, EMPTY_PATH, 20, "stat")),
        ("statx", (0xFFFFFFFFFFFFFF9C, 10, 0x100, 0x7FF, 20), (-100, 10, NOFOLLOW, 20, "statx")),
    ],
)
def test_every_form_comes_down_to_the_same(name: str, arguments: tuple[int, ...], expected: tuple[object, ...]) -> None:
    call = StatCall(name, 1, (*arguments, *(0,) * (6 - len(arguments))))
    assert (call.folder, call.address, call.flags, call.buffer, call.form) == expected
    assert call.is_usual


def test_flags_that_the_kernel_refuses_are_left_to_it() -> None:
    assert not StatCall("newfstatat", 1, (0, 1, 2, 0x8000, 0, 0)).is_usual
    with pytest.raises(OSError, match="flags"):
        ChownCall("fchownat", 1, (0, 1, 2, 3, 0x8000, 0))
