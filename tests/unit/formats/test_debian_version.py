from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from envbox.formats.debian_version import compare, key

IN_ORDER = [
    "0~~",
    "0~~a",
    "0~",
    "0",
    "0a",
    "0.",
    "1.0~rc1",
    "1.0~rc1-1",
    "1.0-0~bpo1",
    "1.0",
    "1.0-0+b1",
    "1.0-1~deb12u1",
    "1.0-1",
    "1.0-1+b1",
    "1.0a",
    "1.0+dfsg",
    "1.0.0",
    "1.2",
    "1.10",
    "2-1",
    "2-1-1",
    "20240101",
    "99999999999999999999999999",
    "1:0.1",
    "2:0",
    "10:0",
]
upstream = st.text("0123456789aZ.+~", min_size=1, max_size=8).map(lambda text: f"1{text}")
versions = st.builds(
    lambda epoch, body, revision: f"{epoch}{body}{revision}",
    st.sampled_from(["", "0:", "1:", "12:"]),
    upstream | st.tuples(upstream, upstream).map("-".join),
    st.just("") | st.text("0123456789aZ.+~", min_size=1, max_size=6).map(lambda text: f"-{text}"),
)
dpkg = pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg is not installed")


def dpkg_says(one: str, operator: str, other: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", one, operator, other], check=False).returncode == 0


def test_a_known_order_holds_for_every_pair():
    for (left, one), (right, other) in itertools.product(enumerate(IN_ORDER), repeat=2):
        assert compare(one, other) == (left > right) - (left < right), (one, other)


@dpkg
def test_dpkg_agrees_with_the_known_order():
    assert all(dpkg_says(one, "lt", other) for one, other in itertools.pairwise(IN_ORDER))


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1-0"), ("1.0", "1.00"), ("0:1", "1"), ("a", "a0"), ("1-", "1"), ("00:1", "1-00")],
)
def test_spellings_of_one_version_are_equal(one, other):
    assert compare(one, other) == 0
    assert key(one) == key(other)


@dpkg
@given(versions, versions)
@settings(max_examples=150, deadline=None)
def test_dpkg_agrees_on_any_pair(one, other):
    operator = {-1: "lt", 0: "eq", 1: "gt"}[compare(one, other)]
    assert dpkg_says(one, operator, other)


@dpkg
@given(versions, st.integers(0, 12), st.sampled_from(["~", "0", "a", "+", "", "."]))
@settings(max_examples=150, deadline=None)
def test_dpkg_agrees_on_versions_that_differ_by_little(one, place, change):
    place = min(max(place, 3), len(one))
    other = one[:place] + change + one[place + 1 :]
    assume(not other.endswith("-"))  # dpkg refuses an empty revision
    operator = {-1: "lt", 0: "eq", 1: "gt"}[compare(one, other)]
    assert dpkg_says(one, operator, other)


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_any_text_has_a_place_in_one_order(one, two, three):
    assert compare(one, two) == -compare(two, one)
    first, second, third = sorted((one, two, three), key=key)
    assert compare(first, second) <= 0
    assert compare(first, third) <= 0


def test_numbers_of_any_length_are_compared():
    assert compare("1" * 10_000, "2" + "0" * 9_998) == 1
