"""Archives besides the distribution's: each is believed by its own key alone."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pysequoia
import pytest

from envbox.errors import SignatureInvalid
from envbox.formats import openpgp
from tests.support.archive import DATE, Archive, SigningKey
from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)


def tool(version: str, **fields: Any) -> DebRecipe:
    return DebRecipe("tool", version, files={"usr/bin/tool": f"#!/bin/sh\necho tool {version}\n"}, **fields)


class Team:
    """A repository at /team of the case's server, and a project that wants packages of it."""

    def __init__(self, case: Case, suite: str = "team_1/stable") -> None:
        self.case = case
        self.archive = Archive(Path(case.debian.folder, "team"), (suite,), label="Team")
        self.add(tool("1.0"))

    @property
    def key(self) -> SigningKey:
        return self.archive.signer

    def add(self, *recipes: DebRecipe, **settings: Any) -> None:
        for recipe in recipes:
            self.archive.add(recipe)
        self.archive.publish(fields={"Suite": self.archive.suites[0]}, **settings)

    def spec(self, *packages: str, key: bytes = b"", **facts: str) -> None:
        values = {
            "name": "team",
            "url": f"{self.case.server.url}/team",
            "suite": self.archive.suites[0],
            "key": "keys/packages.asc",
            "fingerprint": self.key.fingerprint,
            **facts,
        }
        lines = "".join(f'{name} = "{value}"\n' for name, value in values.items())
        self.case.write("keys/packages.asc", (key or self.key.public).decode())
        self.case.spec(*packages, more=f"[[repository]]\n{lines}")


@pytest.fixture
def team(case: Case) -> Team:
    return Team(case)


def subkey(key: SigningKey) -> str:
    """The fingerprint of the one that signs."""
    signed = key.clear_sign(b"text\n")
    found = pysequoia.verify(bytes=signed, store=lambda _: [pysequoia.Cert.from_bytes(key.public)])
    return str(found.valid_sigs[0].signing_key).upper()


@both
def test_a_package_of_a_repository_is_installed_and_its_state_is_in_the_lock(case: Case) -> None:
    team = Team(case)
    spaced = " ".join(team.key.fingerprint[start : start + 4] for start in range(0, 40, 4)).lower()
    team.spec("tool", fingerprint=spaced)
    case.envbox("lock")
    assert case.run("tool") == "tool 1.0\n"
    state = case.read_lock().archives[-1]
    assert (state.name, state.url, state.suite) == ("team", f"{case.server.url}/team", "team_1/stable")
    assert state.signers == (team.key.fingerprint,)
    assert [index.path for index in state.indexes] == ["main/binary-amd64/Packages.xz"]
    before = case.lock.read_bytes()
    assert b"keys/packages.asc" in before
    case.envbox("lock")
    assert case.lock.read_bytes() == before
    case.verify()


def test_apt_inside_knows_the_repository_and_its_key_and_believes_it(case: Case, team: Team) -> None:
    team.spec("tool")
    case.envbox("lock")
    listed = case.run("cat", "/etc/apt/sources.list.d/team.sources")
    assert f"URIs: {case.server.url}/team\nSuites: team_1/stable\nComponents: main\n" in listed
    key = case.run("cat", "/etc/apt/keyrings/team.asc").encode()
    assert openpgp.verify_clearsigned(team.key.clear_sign(b"text\n"), [key], "it").signers == (team.key.fingerprint,)
    told = case.run_as_root(
        "sh", "-c", "rm /etc/apt/sources.list.d/debian.sources; apt-get update; apt-cache policy tool"
    )
    assert f"500 {case.server.url}/team team_1/stable/main" in told


def test_the_base_is_the_same_with_a_repository_and_without(case: Case, team: Team) -> None:
    case.spec()
    case.envbox("lock")
    without = case.digests()
    team.add(
        tool("1.0", fields={"Priority": "required", "Essential": "yes"}),
        DebRecipe("dpkg", "99"),
        date=DATE + dt.timedelta(days=9),
    )
    team.spec()
    case.envbox("lock")
    assert case.digests()[:2] == without
    assert case.run("cat", "/etc/apt/keyrings/team.asc")


def test_what_is_known_of_a_repository_is_part_of_a_layers_key(case: Case, team: Team) -> None:
    team.spec("tool")
    case.envbox("lock")
    first = case.digests()
    team.archive.signer = SigningKey("the team's next key")
    team.add()
    team.spec("tool")
    case.fails("build", code="EB-STALE", status=1, parts=("repository team, fingerprint:", "hint:"))
    case.envbox("lock")
    assert [new == old for new, old in zip(case.digests(), first, strict=True)] == [True, True, True, False]


@pytest.mark.parametrize(("ours", "theirs", "chosen"), [("1.5", "1.0", "1.5"), ("1.5", "2.0", "2.0")])
def test_versions_compete_wherever_they_are(case: Case, team: Team, ours: str, theirs: str, chosen: str) -> None:
    case.add(tool(ours))
    team.add(tool(theirs))
    team.spec("tool")
    case.envbox("lock")
    assert case.run("tool") == f"tool {chosen}\n"


def test_a_package_that_needs_a_newer_one_of_the_base_gets_it(case: Case, team: Team) -> None:
    newer = DebRecipe(
        "hostname", "99", fields={"Priority": "required"}, files={"usr/bin/hostname": "#!/bin/sh\necho 99\n"}
    )
    team.add(newer, tool("3.0", fields={"Depends": "hostname (>= 99)"}))
    team.spec("tool")
    case.envbox("lock")
    assert case.run("hostname") == "99\n"
    assert case.run("dpkg-query", "-W", "-f", "${Version} ${Status}\n", "hostname") == "99 install ok installed\n"
    assert not case.run("dpkg", "--audit")


# Keys.


def test_the_fingerprint_may_be_that_of_the_subkey_that_signs(case: Case, team: Team) -> None:
    team.spec("tool", fingerprint=subkey(team.key))
    case.envbox("lock")
    assert case.read_lock().archives[-1].signers == (team.key.fingerprint,)


def refused(case: Case, *parts: str) -> None:
    case.fails("lock", code="EB-SIGNATURE", status=3, parts=(*parts, "hint: correct the [[repository]]"))
    assert not case.lock.exists()
    assert not any(request.path.endswith(".deb") for request in case.server.requests)


def test_another_fingerprint_is_refused_though_the_file_has_the_key(case: Case, team: Team) -> None:
    team.spec("tool", fingerprint="0123456789" * 4)
    refused(case, "team_1/stable/InRelease", f"signed by {team.key.fingerprint}", "not by " + "0123456789" * 4)


def test_another_key_is_refused(case: Case, team: Team) -> None:
    team.spec("tool", key=SigningKey("somebody else").public)
    refused(case, "team_1/stable/InRelease", "no known key has signed it")


def test_the_distributions_keys_cannot_sign_a_repository(case: Case, team: Team) -> None:
    team.archive.signer = case.debian.signer
    team.add()
    team.spec("tool", key=SigningKey("the team's").public)
    refused(case, "team_1/stable/InRelease", "no known key has signed it")


def test_a_repositorys_key_cannot_sign_the_distributions_archive(case: Case, team: Team) -> None:
    case.debian.main.signer = team.key
    case.debian.publish()
    team.spec("tool")
    parts = ("/debian/dists/trixie/InRelease", "no known key has signed it")
    case.fails("lock", code="EB-SIGNATURE", status=3, parts=parts)


def test_a_key_that_had_expired_before_it_signed_is_refused() -> None:
    key = SigningKey()
    certificate = pysequoia.Cert.from_bytes(key.public)
    soon = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=2)
    expired = str(certificate.set_expiration(soon, key._key.certifier())).encode()
    in_time = key.clear_sign(b"text\n")
    time.sleep(2.5)
    too_late = key.clear_sign(b"text\n")
    assert openpgp.verify_clearsigned(in_time, [expired], "it", key.fingerprint).text
    with pytest.raises(SignatureInvalid):
        openpgp.verify_clearsigned(too_late, [expired], "it", key.fingerprint)


def test_a_repository_that_has_expired_is_refused(case: Case, team: Team) -> None:
    team.add(valid_until=DATE + dt.timedelta(days=7))
    team.spec("tool")
    refused(case, "expired on 2025-11-08")


def test_a_component_that_is_not_there_is_told(case: Case, team: Team) -> None:
    team.spec("tool")
    text = (case.folder / "envbox.toml").read_text()
    case.write("envbox.toml", f'{text}components = ["main", "extra"]\n')
    case.fails("lock", code="EB-NETWORK", status=2, parts=("lists no extra/binary-amd64/Packages", "hint:"))


def test_a_key_file_that_is_missing_is_told(case: Case, team: Team) -> None:
    team.spec("tool", key=b"x")
    (case.folder / "keys/packages.asc").unlink()
    parts = ("repository team, key: keys/packages.asc cannot be read", "hint:")
    case.fails("lock", code="EB-SPEC", status=1, parts=parts)
