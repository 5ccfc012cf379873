"""Spec -> Lock: asks the manager and the libraries, and changes nothing but the store.

What is locked already is held as far as the spec allows: more packages become one more group on top, found in the
very archive that the lock was made from; only where that cannot be are they chosen anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from envbox import libraries
from envbox.build_sandbox import BuildSandbox
from envbox.distros import DISTROS
from envbox.errors import ArtifactMismatch, NetworkFailed, SpecInvalid, UnknownPackage, Unsatisfiable
from envbox.host import probe
from envbox.inputs import lock_steps
from envbox.lock import Group, Lock, request_of
from envbox.managers import MANAGERS, ArchiveRequest
from envbox.plan import RECIPE, recorded_layers, with_recorded, without_digests
from envbox.spec import PackageRequest
from envbox.store.work import work_folder

if TYPE_CHECKING:
    from envbox.distros import Distro
    from envbox.lock import LibrarySet
    from envbox.managers import Manager
    from envbox.spec import Spec
    from envbox.workshop import Workshop

Materialize = Callable[[Lock], "tuple[str, ...]"]
"""Has the layers of a lock, so far, in the store, and returns their trees, the lowest first."""

_CANNOT_HOLD = (UnknownPackage, Unsatisfiable, NetworkFailed, ArtifactMismatch)


class _CannotAppend(Exception):
    """What is asked for changes what is locked; the message says how."""


@dataclass(frozen=True)
class Resolver:
    """Solves one spec. `folder` is the project's.

    The base must be there before its own apt can be asked, and the packages before their Python: `materialize` is
    called for both.
    """

    spec: Spec
    folder: str
    workshop: Workshop
    materialize: Materialize

    def fresh(self) -> Lock:
        """Against the archive and the indexes as they are now.

        Raises UnknownPackage, Unsatisfiable, NetworkFailed, SignatureInvalid.
        """
        wanted = _archive_request(self.spec, self.folder)
        archive = self._manager.open_archive(self._distro, wanted, probe.architecture(), self.workshop)
        return self._completed(self._with_packages(archive), None)

    def held(self, lock: Lock) -> Lock:
        """With as little change to `lock` as possible; afresh where there is no other way, which is told."""
        if lock.architecture is not probe.architecture() or self._moved(lock):
            self.workshop.reporter.note("envbox.lock is of another archive or architecture: choosing all anew")
            return self.fresh()
        if lock.recipe != RECIPE:  # which is about bytes, not about versions
            lock = without_digests(replace(lock, recipe=RECIPE))
        try:
            grown = self._held_packages(lock)
        except _CANNOT_HOLD as error:
            first = error.message.split("\n", 1)[0]
            self.workshop.reporter.note(f"The archive as it was locked will not do ({first}): choosing all anew")
            try:
                return self.fresh()
            except NetworkFailed:
                raise error from None
        found = self._completed(replace(grown, request=request_of(self.spec)), lock)
        return with_recorded(found, recorded_layers(lock))

    def _held_packages(self, lock: Lock) -> Lock:
        try:
            return self._appended(lock)
        except _CannotAppend as reason:
            self.workshop.reporter.note(f"{reason}: choosing all packages anew, from the archive as it was locked")
            return self._with_packages(self._reopened(lock))

    def _reopened(self, lock: Lock) -> Any:
        return self._manager.reopen_archive(lock, self.workshop)

    def _moved(self, lock: Lock) -> bool:
        """Whether the spec names another archive than the one that was locked."""
        wanted = request_of(self.spec)
        return replace(wanted, packages=(), python=(), python_index="") != replace(
            lock.request, packages=(), python=(), python_index=""
        )

    def _appended(self, lock: Lock) -> Lock:
        """The lock with a group on top of what is asked for and not yet there. Raises _CannotAppend."""
        installed = {artifact.name: artifact.version for group in lock.groups for artifact in group.artifacts}
        gone = {name.partition("=")[0] for name in lock.request.packages} - {r.name for r in self._requests}
        if lock.request.python and not self.spec.python:
            gone |= {self._distro.python} - {r.name for r in self._requests}
        if gone:
            raise _CannotAppend(f"{', '.join(sorted(gone))} is asked for no more")
        new = tuple(request for request in self._requests if request.name not in installed)
        for request in self._requests:
            if request.version and installed.get(request.name, request.version) != request.version:
                raise _CannotAppend(f"{request.name} is {installed[request.name]}, not {request.version}")
        if not new:
            return lock
        archive = self._reopened(lock)
        self._manager.check_names(archive, new, str(self.spec.base))
        artifacts = self._solved(archive, lock, new)
        changed = sorted(artifact.name for artifact in artifacts if artifact.name in installed)
        if changed:
            raise _CannotAppend(f"{', '.join(changed)} would be another version")
        group = Group(_free_name(lock), tuple(sorted(map(str, new))), artifacts)
        return replace(lock, groups=(*lock.groups, group), libraries=(), steps=())

    def _with_packages(self, archive: Any, newer: tuple[PackageRequest, ...] = ()) -> Lock:
        """A lock of the base, and of one group with all packages asked for.

        `newer` are packages of the base in the versions that those of a repository turned out to need.
        """
        manager, requests = self._manager, self._requests
        manager.check_names(archive, requests, str(self.spec.base))
        base = Group("base", (), manager.base_artifacts(archive, self._distro, (*requests, *newer)))
        states = manager.states(archive)
        epoch = max(state.date for state in states if not state.key)  # a repository makes no base another one
        lock = Lock(RECIPE, probe.architecture(), epoch, request_of(self.spec), states, (base,))
        if not (requests or self.spec.repositories):
            return lock
        artifacts = self._solved(archive, lock, requests) if requests else ()
        below = {artifact.name for artifact in base.artifacts}
        changed = tuple(PackageRequest(it.name, it.version) for it in artifacts if it.name in below)
        if not changed:
            names = tuple(sorted(map(str, requests)))
            return replace(lock, groups=(base, Group("packages", names, artifacts)))
        if {request.name for request in changed} & {request.name for request in newer}:
            raise Unsatisfiable(f"the base cannot be put together with {', '.join(map(str, changed))}")
        return self._with_packages(archive, (*newer, *changed))

    def _solved(self, archive: Any, lock: Lock, requests: tuple[PackageRequest, ...]) -> tuple[Any, ...]:
        trees = self.materialize(replace(lock, libraries=(), steps=()))
        self.workshop.reporter.start("solve", "Choosing packages")
        with work_folder(self.workshop.store, "solve") as work:
            sandbox = BuildSandbox(trees, work, lock.epoch).prepare()
            artifacts = self._manager.solve(archive, self.workshop.store, sandbox, requests)
        self.workshop.reporter.finish("solve")
        return artifacts

    def _completed(self, lock: Lock, held: Lock | None) -> Lock:
        """The lock with the libraries and the steps that the spec has."""
        lock = replace(lock, libraries=self._libraries(lock, held), steps=())
        return replace(lock, steps=lock_steps(self.spec.steps, self.folder, self.workshop))

    def _libraries(self, lock: Lock, held: Lock | None) -> tuple[LibrarySet, ...]:
        wanted = self.spec.python
        if not wanted:
            return ()
        before = held.libraries if held else ()
        lock = replace(lock, libraries=(), steps=())
        if held and before and _same_libraries(lock, held):
            return before
        trees = self.materialize(lock)
        self.workshop.reporter.start("libraries", "Choosing Python libraries")
        with work_folder(self.workshop.store, "solve") as work:
            sandbox = BuildSandbox(trees, work, lock.epoch).prepare()
            found = libraries.resolve(wanted, lock, before, sandbox, self.workshop)
        self.workshop.reporter.finish("libraries")
        return (found,)

    @property
    def _distro(self) -> Distro:
        return DISTROS[self.spec.base.distro]

    @property
    def _manager(self) -> Manager:
        return MANAGERS[self._distro.manager]

    @property
    def _requests(self) -> tuple[PackageRequest, ...]:
        """The packages asked for, and the interpreter that the libraries need."""
        python = self._distro.python
        if self.spec.python and python not in {request.name for request in self.spec.packages}:
            return tuple(sorted((*self.spec.packages, PackageRequest(python))))
        return self.spec.packages


def _same_libraries(lock: Lock, held: Lock) -> bool:
    same = (lock.request.python, lock.request.python_index) == (held.request.python, held.request.python_index)
    return same and libraries.fits(held.libraries[0], lock)


def _free_name(lock: Lock) -> str:
    """`packages`, then `packages-2` and so on."""
    names = {group.name for group in lock.groups}
    number = 2
    while f"packages-{number}" in names:
        number += 1
    return f"packages-{number}" if "packages" in names else "packages"


def _archive_request(spec: Spec, folder: str) -> ArchiveRequest:
    """With the keys, which are files of the project. Raises SpecInvalid."""
    keys = (_key(folder, spec.base.key, "base.key"),) if spec.base.key else ()
    found = ((it, _key(folder, it.key, f"repository {it.name}, key")) for it in spec.repositories)
    return ArchiveRequest(spec.base, keys, tuple(found))


def _key(folder: str, path: str, where: str) -> bytes:
    try:
        with open(os.path.join(folder, path), "rb") as file:
            return file.read()
    except OSError as error:
        raise SpecInvalid(
            f"envbox.toml: {where}: {path} cannot be read: {error.strerror}", hint="put the archive's public key there"
        ) from error
