"""Where apt inside the root file system finds more: the distribution's own archives, whatever mirror built it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envbox.distros import Distro, Suite


def files(distro: Distro, release: str) -> dict[str, str]:
    """The sources file (sources.list(5), deb822 style), by path."""
    stanzas = [_stanza(distro, suite) for suite in distro.releases[release].suites]
    return {f"etc/apt/sources.list.d/{distro.name}.sources": "\n".join(stanzas)}


def _stanza(distro: Distro, suite: Suite) -> str:
    return (
        f"Types: deb\n"
        f"URIs: {distro.security_url if suite.security else distro.url}\n"
        f"Suites: {suite.folder}\n"
        f"Components: {' '.join(distro.components)}\n"
        f"Signed-By: {distro.keyring}\n"
    )
