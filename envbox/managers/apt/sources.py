"""Where apt inside the root file system finds more: the distribution's own archives, whatever mirror built it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbox.distros import Distro, Suite
    from envbox.lock import ArchiveState

_FOLDER = "etc/apt/sources.list.d"


def files(distro: Distro, release: str) -> dict[str, str]:
    """The distribution's sources file (sources.list(5), deb822 style), by path."""
    stanzas = [_of_distribution(distro, suite) for suite in distro.releases[release].suites]
    return {f"{_FOLDER}/{distro.name}.sources": "\n".join(stanzas)}


def repository_files(repositories: Iterable[ArchiveState]) -> dict[str, str]:
    """The sources file and the key of each repository, by path."""
    found = {}
    for state in repositories:
        key = f"etc/apt/keyrings/{state.name}.asc"
        found[key] = "".join(f"{line}\n" for line in state.key)
        found[f"{_FOLDER}/{state.name}.sources"] = _stanza(state.url, state.suite, state.components, f"/{key}")
    return found


def _of_distribution(distro: Distro, suite: Suite) -> str:
    url = distro.security_url if suite.security else distro.url
    return _stanza(url, suite.folder, distro.components, distro.keyring)


def _stanza(url: str, suite: str, components: Iterable[str], key: str) -> str:
    return f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {' '.join(components)}\nSigned-By: {key}\n"
