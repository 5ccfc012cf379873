"""The filters decide as intended: run by an interpreter of their few instructions, for any call."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.sandbox import fake_root, seccomp

BORDER = 0x6C << 40
ALLOW, NOTIFY, SUCCESS = seccomp.ALLOW, seccomp.NOTIFY, seccomp.ERROR
X86_64_NUMBERS = {
    "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "mknod": 133, "mknodat": 259, "setuid": 105,
    "setgroups": 116, "fsync": 74, "syncfs": 306, "read": 0, "openat": 257, "execve": 59,
}  # fmt: skip


def decide(program: bytes, architecture: int, number: int, arguments: tuple[int, ...], caller: int = 0) -> int:
    """What the kernel would do: a classic BPF machine over struct seccomp_data."""
    data = struct.pack("=iIQ6Q", number, architecture, caller, *(arguments + (0,) * 6)[:6])
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, position * 8)
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x15:
            position += if_true if accumulator == value else if_false
        elif code == 0x35:
            position += if_true if accumulator >= value else if_false
        else:
            assert code == 0x06
            return int(value)


@pytest.mark.parametrize("name", ["chown", "fchown", "lchown", "fchownat"])
def test_changes_of_ownership_are_asked_about(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_root, "_machine", lambda: "x86_64")
    assert decide(fake_root.program(BORDER), seccomp.X86_64, X86_64_NUMBERS[name], ()) == NOTIFY


@pytest.mark.parametrize("machine", sorted(seccomp.NATIVE))
@given(mode=st.integers(0, 0xFFFFFFFF), high=st.integers(0, 2**32 - 1))
def test_only_device_nodes_are_faked_whatever_else_the_mode_says(machine: str, mode: int, high: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_root, "_machine", lambda: machine)
        program, number = fake_root.program(BORDER), {"x86_64": 259, "aarch64": 33}[machine]
    expected = SUCCESS if mode & 0o170000 in (0o020000, 0o060000) else ALLOW
    assert decide(program, seccomp.NATIVE[machine], number, (0, 0, mode | high << 32)) == expected


@given(number=st.integers(0, 2**31 - 1), architecture=st.sampled_from([seccomp.I386, seccomp.ARM, 0, 7]))
def test_a_foreign_architecture_is_left_alone(number: int, architecture: int) -> None:
    assert decide(fake_root.program(BORDER), architecture, number, (0,) * 6) == ALLOW


@given(number=st.integers(0, 500).filter(lambda n: n not in X86_64_NUMBERS.values()))
def test_what_is_not_named_is_allowed(number: int) -> None:
    named = {106, 113, 114, 117, 119, 122, 123, 75, 162, 277}
    asked = {4, 5, 6, 262, 332, 322, 161, 63, 188, 189, 190}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_root, "_machine", lambda: "x86_64")
        found = decide(fake_root.program(BORDER), seccomp.X86_64, number, ())
    assert found == (SUCCESS if number in named else NOTIFY if number in asked else ALLOW)


@pytest.mark.parametrize(
    ("architecture", "number"),
    [
        (seccomp.X86_64, 16), (seccomp.X86_64, 0x40000000 + 514), (seccomp.I386, 54), (seccomp.AARCH64, 29),
        (seccomp.ARM, 54),
    ],
)  # fmt: skip
@given(high=st.integers(0, 2**32 - 1), request_code=st.integers(0, 2**32 - 1))
def test_typing_into_the_terminal_is_refused_whatever_the_high_bits(
    architecture: int, number: int, high: int, request_code: int
) -> None:
    program = seccomp.terminal_program()
    for forbidden in (0x5412, 0x541C):
        assert decide(program, architecture, number, (0, forbidden | high << 32)) == seccomp.ERROR + 1
    expected = seccomp.ERROR + 1 if request_code in (0x5412, 0x541C) else ALLOW
    assert decide(program, architecture, number, (0, request_code)) == expected
