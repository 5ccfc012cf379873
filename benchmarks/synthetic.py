"""A signed archive on the loopback: a real base, and a thousand small packages that nobody wrote."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.archive import DebianWorld, DebRecipe
from tests.support.base import real_base_debs
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PACKAGES = 1010
_FILES = 12


@dataclass(frozen=True)
class Served:
    """An archive with `package_name(0)` to `package_name(PACKAGES - 1)`."""

    url: str
    key: Path

    def spec(self, name: str, packages: Sequence[str]) -> str:
        """envbox.toml of a project with these packages."""
        base = f'name = "debian:13", mirror = "{self.url}/debian", security-mirror = "{self.url}/debian-security"'
        names = ", ".join(f'"{package}"' for package in packages)
        return f'name = "{name}"\nbase = {{ {base}, key = "archive.asc" }}\npackages = [{names}]\n'


def package_name(number: int) -> str:
    """What a package is called."""
    return f"growth-{number:04}"


@contextlib.contextmanager
def archive(work: Path) -> Iterator[Served]:
    """Made in the work folder, served while inside."""
    folder = work / "growth-debian"
    world = DebianWorld(folder)
    for path in real_base_debs("13"):
        world.main.include(path)
    for number in range(PACKAGES):
        world.main.add(_recipe(number))
    world.publish()
    key = work / "archive.asc"
    key.write_bytes(world.key)
    with Server(folder) as server:
        yield Served(server.url, key)


def _recipe(number: int) -> DebRecipe:
    name = package_name(number)
    files = {f"usr/share/growth/{name}/{index}": f"{name} {index}\n" * 64 for index in range(_FILES)}
    scripts = {} if number % 10 else {"postinst": "#!/bin/sh\nset -e\necho configured >/dev/null\n"}
    return DebRecipe(name, files=files, scripts=scripts, compression="gz")
