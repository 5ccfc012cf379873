from __future__ import annotations

import contextlib
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.errors import ArtifactMismatch
from envbox.formats.release import IndexFile, parse
from envbox.values import Digest

RELEASE = f"""\
Origin: Debian
Suite: stable-security
Codename: trixie-security
Date: Sat, 09 Aug 2025 09:16:30 UTC
Valid-Until: Sat, 16 Aug 2025 09:16:30 UTC
Acquire-By-Hash: yes
Architectures: all amd64 arm64
Components: main contrib
MD5Sum:
 {"d" * 32} 7 main/other
SHA256:
 {"a" * 64}   738242 main/binary-amd64/Packages
 {"b" * 64} 12 main/binary-amd64/Packages.xz
"""


def test_a_release_says_what_it_is_and_what_its_indexes_are():
    release = parse(RELEASE)
    assert (release.suite, release.codename) == ("stable-security", "trixie-security")
    assert (release.architectures, release.components) == (("all", "amd64", "arm64"), ("main", "contrib"))
    assert release.by_hash
    assert release.valid_until - release.date == 7 * 24 * 3600
    assert release.files == {
        "main/binary-amd64/Packages": IndexFile(738242, Digest("a" * 64)),
        "main/binary-amd64/Packages.xz": IndexFile(12, Digest("b" * 64)),
    }


def test_a_release_need_not_expire_nor_offer_indexes_by_digest():
    lines = [line for line in RELEASE.splitlines() if not line.startswith(("Valid-Until", "Acquire-By-Hash"))]
    release = parse("\n".join(lines))
    assert release.valid_until is None
    assert not release.by_hash


@given(st.integers(0, 253_370_764_800), st.sampled_from(["UTC", "GMT", "+0000", "Z"]))
def test_dates_are_read_in_utc(moment, zone):
    text = format_datetime(datetime.fromtimestamp(moment, timezone.utc)).replace("+0000", zone)
    assert parse(RELEASE.replace("Sat, 09 Aug 2025 09:16:30 UTC", text)).date == moment


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Sat, 31 Feb 2025 09:16:30 UTC",
        "Sat, 09 Aug 2025 25:16:30 UTC",
        "Sat, 09 Aug 2025 09:16:30 +0200",
        "Sat, 09 Aug 2025 09:16:30",
        "Sat, 09 Avg 2025 09:16:30 UTC",
        "Sat, 09 Aug 0000 09:16:30 UTC",
    ],
)
@pytest.mark.parametrize("field", ["Date", "Valid-Until"])
def test_a_date_that_is_none_is_refused_by_the_name_of_its_field(field, date):
    before, _, after = RELEASE.partition(f"{field}: ")
    with pytest.raises(ArtifactMismatch, match=f"{field} is not a date"):
        parse(f"{before}{field}: {date}\n{after.partition(chr(10))[2]}")


@pytest.mark.parametrize("field", ["Date", "SHA256"])
def test_a_release_without_its_date_or_digests_is_refused(field):
    with pytest.raises(ArtifactMismatch, match=f"no field {field}"):
        parse(RELEASE.replace(f"{field}:", "Other:"))


@pytest.mark.parametrize("line", ["abc 12 path", f"{'a' * 64} -12 path", f"{'a' * 64} 12", f"{'a' * 64} 1_2 path"])
def test_a_malformed_digest_line_is_quoted(line):
    with pytest.raises(ArtifactMismatch, match="digest size path"):
        parse(f"{RELEASE} {line}\n")


@given(st.text(max_size=200), st.integers(0, 400))
def test_any_text_is_read_or_refused(junk, place):
    for text in (junk, RELEASE[:place] + junk + RELEASE[place:]):
        with contextlib.suppress(ArtifactMismatch):
            parse(text)
