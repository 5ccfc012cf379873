"""What a distribution is, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Suite:
    """A part of a release that is signed on its own: `main`, `updates` or `security`, and its folder in dists/."""

    name: str
    folder: str
    security: bool = False
    """True: from the security archive."""


@dataclass(frozen=True)
class Release:
    """A release: its code name and where its packages come from."""

    codename: str
    suites: tuple[Suite, ...]


@dataclass(frozen=True)
class Distro:
    """A distribution: which manager installs its packages, from where, and what its base is."""

    name: str
    manager: str
    url: str
    security_url: str
    snapshot_url: str
    """Of the service that keeps every state: `URL/FOLDER/20261101T000000Z/dists/...`, or the nearest one before."""
    snapshot_folder: str
    snapshot_security_folder: str
    old_url: str
    """Where releases go that the mirrors drop."""
    old_security_url: str
    components: tuple[str, ...]
    releases: Mapping[str, Release]
    base_packages: tuple[str, ...]
    """Installed in every base besides those that the distribution itself calls essential or required."""
    preferred: tuple[str, ...]
    """Taken where a dependency leaves the choice."""
    links: Mapping[str, str]
    """Links that exist before the first package is unpacked."""
    keyring: str
    """Where the root file system has the archive's keys."""
    python: str
    """The package of its Python interpreter."""
