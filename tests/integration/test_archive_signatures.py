"""Signatures of the real archive, by the keys that envbox brings."""

from __future__ import annotations

import urllib.request
from importlib import resources

import pytest

from envbox.formats import openpgp, release

KEYS = {
    entry.name.removesuffix(".asc"): entry.read_bytes()
    for entry in resources.files("envbox.distros").joinpath("keys").iterdir()
    if entry.name.startswith("debian-")
}
ARCHIVE = "http://deb.debian.org/debian/dists"
SECURITY = "http://deb.debian.org/debian-security/dists"


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


@pytest.mark.real
@pytest.mark.parametrize(
    ("url", "codename"),
    [
        (f"{ARCHIVE}/bullseye/InRelease", "bullseye"),
        (f"{ARCHIVE}/bookworm/InRelease", "bookworm"),
        (f"{ARCHIVE}/trixie/InRelease", "trixie"),
        (f"{ARCHIVE}/trixie-updates/InRelease", "trixie-updates"),
        (f"{ARCHIVE}/forky/InRelease", "forky"),
        (f"{ARCHIVE}/sid/InRelease", "sid"),
        (f"{SECURITY}/bullseye-security/InRelease", "bullseye-security"),
        (f"{SECURITY}/bookworm-security/InRelease", "bookworm-security"),
        (f"{SECURITY}/trixie-security/InRelease", "trixie-security"),
    ],
)
def test_the_archive_is_signed_by_keys_that_envbox_knows(url, codename):
    verified = openpgp.verify_clearsigned(fetch(url), list(KEYS.values()), url)
    assert release.parse(verified.text.decode()).codename == codename
