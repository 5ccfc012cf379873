"""The base of a release: Essential, Priority required, apt, ca-certificates, and what they depend on.

The one resolution that cannot be left to apt, since there is no apt yet. It prefers nothing cleverly: the newest
version, the first alternative, which is what debootstrap and mmdebstrap arrive at for these packages.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from envbox.errors import UnknownPackage, Unsatisfiable
from envbox.formats import dependency
from envbox.managers.apt.archive import Archive, Part, artifact_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envbox.distros import Distro
    from envbox.formats.dependency import Relation
    from envbox.formats.packages_index import Package
    from envbox.values import Artifact


def base_artifacts(archive: Archive, distro: Distro, pins: Mapping[str, str]) -> tuple[Artifact, ...]:
    """The packages of the base, sorted by name. `pins` are versions asked for by name; others do not matter.

    A repository's packages are no part of a base, but for those that `pins` ask for.
    Raises Unsatisfiable, UnknownPackage.
    """
    own = archive.distribution
    closure = _Closure(archive, frozenset(distro.preferred), pins)
    essential = {*own.where("Essential", "yes"), *own.where("Priority", "required")}
    for name in (*sorted(essential), *distro.base_packages):
        closure.add(name)
    return tuple(artifact_of(*closure.chosen[name]) for name in sorted(closure.chosen))


class _Closure:
    def __init__(self, archive: Archive, preferred: frozenset[str], pins: Mapping[str, str]) -> None:
        self.chosen: dict[str, tuple[Package, Part]] = {}
        self._everything = archive
        self._archive = archive.distribution
        self._preferred = preferred
        self._pins = pins

    def add(self, name: str) -> None:
        """Choose a package and, one after the other, all that it needs."""
        pending = [name]
        while pending:
            wanted = pending.pop(0)
            if wanted in self.chosen:
                continue
            package, _part = self.chosen[wanted] = self._candidate(wanted)
            for field in ("Pre-Depends", "Depends"):
                text = package.fields.get(field, "")
                needs = dependency.parse(text, self._archive.architecture.value)
                pending += [self._pick(need, package.name) for need in needs if not self._satisfied(need)]

    def _candidate(self, name: str) -> tuple[Package, Part]:
        pin = self._pins.get(name)
        versions = (self._everything if pin else self._archive).versions(name)
        for package, part in versions:
            if pin in {None, package.version}:
                return package, part
        raise UnknownPackage(
            f"{name} is not in the archive" + (f" in version {pin}" if pin else ""),
            hint=f"versions there: {', '.join(package.version for package, _ in versions) or 'none'}",
        )

    def _satisfied(self, alternatives: tuple[Relation, ...]) -> bool:
        return any(self._met(relation) for relation in alternatives)

    def _met(self, relation: Relation) -> bool:
        chosen = self.chosen.get(relation.name)
        if chosen:
            return relation.satisfied_by(chosen[0].version)
        return any(name in self.chosen for name in self._archive.providers(relation.name))

    def _pick(self, alternatives: tuple[Relation, ...], needed_by: str) -> str:
        ordered = sorted(alternatives, key=lambda relation: relation.name not in self._preferred)
        for relation in ordered:
            for package, _ in self._archive.versions(relation.name):
                if relation.satisfied_by(package.version):
                    return package.name
        for relation in ordered:
            providers = self._archive.providers(relation.name)
            if providers:
                return min(providers, key=lambda name: (name not in self._required, name))
        words = " or ".join(relation.name for relation in alternatives)
        raise Unsatisfiable(f"the base cannot be put together: {needed_by} needs {words}, which the archive has not")

    @cached_property
    def _required(self) -> frozenset[str]:
        return frozenset(self._archive.where("Priority", "required"))
