from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.errors import ArtifactHostile
from envbox.formats import ar


def pack(members: dict[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        parts.append(content + b"\n" * (len(content) % 2))
    return b"".join(parts)


names = st.text("abcdefghijklmnopqrstuvwxyz.-_0123456789", min_size=1, max_size=15)


@given(st.dictionaries(names, st.binary(max_size=99), max_size=4))
def test_members_come_by_name_in_order(members):
    assert list(ar.members(pack(members)).items()) == list(members.items())


def test_the_slash_that_gnu_ar_puts_behind_names_is_not_part_of_them():
    assert list(ar.members(pack({"data.tar/": b"x"}))) == ["data.tar"]


def test_the_last_padding_may_be_missing():
    assert ar.members(pack({"a": b"odd"})[:-1]) == {"a": b"odd"}


def test_an_archive_cut_short_anywhere_but_between_members_is_refused():
    whole = pack({"first": b"12", "second": b"3456"})
    ends = {8, 8 + 60 + 2, len(whole)}
    for length in set(range(len(whole))) - ends:
        with pytest.raises(ArtifactHostile):
            ar.members(whole[:length])


@pytest.mark.parametrize("size", ["", "-1", "1x", "99999999"])
def test_an_impossible_size_is_refused_with_the_members_name(size):
    header = f"{'odd-one':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode()
    with pytest.raises(ArtifactHostile, match="odd-one"):
        ar.members(b"!<arch>\n" + header)


def test_two_members_of_one_name_are_refused():
    with pytest.raises(ArtifactHostile, match="control"):
        ar.members(pack({"control": b""}) + pack({"control": b""})[8:])


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_are_read_or_refused(data, with_magic):
    with contextlib.suppress(ArtifactHostile):
        ar.members(b"!<arch>\n" * with_magic + data)
