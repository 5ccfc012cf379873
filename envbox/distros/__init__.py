"""Distributions: facts alone, one small file each."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING

from envbox.distros.debian import DEBIAN
from envbox.distros.distro import Distro, Release, Suite

if TYPE_CHECKING:
    from collections.abc import Mapping

DISTROS: Mapping[str, Distro] = {distro.name: distro for distro in (DEBIAN,)}
"""Every distribution that envbox knows, by the name it has in `base`."""

__all__ = ["DISTROS", "Distro", "Release", "Suite", "keys_of"]


def keys_of(distro: Distro) -> tuple[bytes, ...]:
    """The public keys that the distribution signs its archives with, as shipped with envbox."""
    folder = importlib.resources.files("envbox.distros").joinpath("keys")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(file.read_bytes() for file in files if file.name.startswith(f"{distro.name}-"))
