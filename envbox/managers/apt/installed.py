"""What dpkg knows of the packages in the layers below: who owns a path, and where files were diverted to."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from envbox.formats import control
from envbox.managers.apt import database
from envbox.managers.apt.package_tree import INFO, merged_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envbox.store.view import View


class Owner(NamedTuple):
    """An installed package, and its name in dpkg's info folder."""

    name: str
    version: str
    info_name: str


class Installed:
    """Asks dpkg's database in the layers below; reads only what is asked for."""

    def __init__(self, below: View, read: Callable[[str], str]) -> None:
        self.read = read
        self._below = below

    @cached_property
    def diversions(self) -> Mapping[str, tuple[str, str]]:
        """Path -> (where other packages' files go, the package that keeps the path)."""
        listed = database.parse_diversions(self.read(f"{database.ADMIN}/diversions"))
        return {merged_path(path): (merged_path(target), keeper) for path, (target, keeper) in listed.items()}

    def owner(self, path: str) -> Owner | None:
        """The package that shipped `path`, None if a script made it."""
        info_name = self._owners.get(path)
        if info_name is None:
            return None
        name = info_name.partition(":")[0]
        return Owner(name, self._versions.get(name, ""), info_name)

    @cached_property
    def _owners(self) -> dict[str, str]:
        owners = {}
        for entry in self._below.entries():
            folder, _, name = entry.path.rpartition("/")
            if folder == INFO and name.endswith(".list"):
                lines = self.read(entry.path).split("\n")
                owners.update({merged_path(line.lstrip("/")): name.removesuffix(".list") for line in lines})
        return owners

    @cached_property
    def _versions(self) -> dict[str, str]:
        stanzas = control.paragraphs(self.read(f"{database.ADMIN}/status"))
        return {stanza["Package"]: stanza.get("Version", "") for stanza in stanzas}
