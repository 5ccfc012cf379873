"""Archives that are not what their key vouches for: nothing of them is used."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.archive import DATE, SigningKey
from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)


def prepared(case: Case, **settings: object) -> None:
    case.debian.main.add(DebRecipe("hello"))
    case.debian.publish(**settings)
    case.spec("hello")


@pytest.mark.parametrize("fault", ["unsigned", "wrong-key", "tampered", "prepended", "appended"])
def test_a_release_file_that_is_not_signed_as_a_whole_by_a_known_key_is_refused(case: Case, fault: str) -> None:
    prepared(case, fault=fault)
    case.fails("lock", code="EB-SIGNATURE", status=3, parts=(f"{case.server.url}/debian/dists/trixie/InRelease",))
    assert not case.lock.exists()
    assert not any(request.path.endswith(".deb") for request in case.server.requests)


@both
def test_an_expired_archive_is_refused_with_the_day(case: Case) -> None:
    prepared(case, valid_until=dt.datetime(2025, 11, 8, tzinfo=dt.timezone.utc))
    parts = ("dists/trixie/InRelease expired on 2025-11-08", "hint: the mirror may be out of date")
    case.fails("lock", code="EB-SIGNATURE", status=3, parts=parts)


def test_an_archive_that_is_still_valid_is_used(case: Case) -> None:
    prepared(case, valid_until=dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=7), date=DATE)
    case.envbox("lock")


def test_an_archive_signed_for_another_suite_is_refused(case: Case) -> None:
    prepared(case)
    suite = Path(case.debian.folder, "debian/dists/trixie/InRelease")
    other = Path(case.debian.folder, "debian/dists/trixie-updates/InRelease")
    suite.write_bytes(other.read_bytes())
    parts = ("is signed for trixie-updates, not for trixie", "hint:")
    case.fails("lock", code="EB-SIGNATURE", status=3, parts=parts)


def test_indexes_that_were_changed_after_the_signature_are_refused(case: Case) -> None:
    prepared(case, fault="tampered-index")
    parts = ("main/binary-amd64/Packages.xz", "other bytes than promised", "expected", "found", "hint:")
    case.fails("lock", code="EB-ARTIFACT", status=3, parts=parts)


def test_an_archive_without_any_release_file_is_told_by_its_address(case: Case) -> None:
    prepared(case, fault="missing")
    case.fails("lock", code="EB-NETWORK", status=2, parts=("InRelease", "127.0.0.1", "hint:"))


def test_without_its_key_the_archive_is_not_trusted(case: Case) -> None:
    prepared(case)
    case.spec("hello", base={"key": ""})
    case.fails("lock", code="EB-SIGNATURE", status=3, parts=("InRelease",))


def test_a_key_of_somebody_else_is_not_enough(case: Case) -> None:
    prepared(case)
    case.write("team.asc", SigningKey("a stranger").public.decode())
    case.fails("lock", code="EB-SIGNATURE", status=3, parts=("InRelease",))


@pytest.mark.parametrize("content", ["", "this is no key\n", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"])
def test_a_key_file_that_is_none_is_told(case: Case, content: str) -> None:
    prepared(case)
    case.write("team.asc", content)
    result = case.envbox("lock", status=None)
    assert result.status in {1, 3}, str(result)
    assert "Traceback" not in result.errors, str(result)
    assert re.search(r"\[EB-(SPEC|SIGNATURE)\]", result.errors), str(result)


def test_a_key_file_that_is_missing_is_told_with_its_name(case: Case) -> None:
    prepared(case)
    os.unlink(case.folder / "team.asc")
    case.fails("lock", code="EB-SPEC", status=1, parts=("base.key", "team.asc", "No such file", "hint:"))
