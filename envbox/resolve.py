"""Spec -> Lock: asks the manager and the libraries, and changes nothing but the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from envbox import libraries
from envbox.build_sandbox import BuildSandbox
from envbox.distros import DISTROS
from envbox.errors import SpecInvalid
from envbox.host import probe
from envbox.lock import Group, Lock, request_of
from envbox.managers import MANAGERS
from envbox.plan import RECIPE
from envbox.spec import PackageRequest
from envbox.store.work import work_folder

if TYPE_CHECKING:
    from envbox.spec import Spec
    from envbox.workshop import Workshop

Materialize = Callable[[Lock], "tuple[str, ...]"]
"""Has the layers of a lock, so far, in the store, and returns their trees, the lowest first."""


def resolve(spec: Spec, folder: str, workshop: Workshop, materialize: Materialize) -> Lock:
    """Solve a spec against the archive and the indexes as they are now. `folder` is the project's.

    The base must be there before its own apt can be asked, and the packages before their Python: `materialize` is
    called for both. Raises UnknownPackage, Unsatisfiable, NetworkFailed, SignatureInvalid.
    """
    distro = DISTROS[spec.base.distro]
    manager = MANAGERS[distro.manager]
    architecture = probe.architecture()
    archive = manager.open_archive(distro, spec.base, architecture, _keys(spec, folder), workshop)
    requests = _with_interpreter(spec, distro.python)
    manager.check_names(archive, requests, str(spec.base))
    base = Group("base", (), manager.base_artifacts(archive, distro, requests))
    states = manager.states(archive)
    lock = Lock(RECIPE, architecture, max(state.date for state in states), request_of(spec), states, (base,), ())
    if requests:
        trees = materialize(lock)
        workshop.reporter.start("solve", "Choosing packages")
        with work_folder(workshop.store, "solve") as work:
            sandbox = BuildSandbox(trees, work, lock.epoch).prepare()
            artifacts = manager.solve(archive, sandbox, requests)
        workshop.reporter.finish("solve")
        names = tuple(sorted(str(request) for request in requests))
        lock = replace(lock, groups=(base, Group("packages", names, artifacts)))
    if spec.python:
        trees = materialize(lock)
        workshop.reporter.start("libraries", "Choosing Python libraries")
        with work_folder(workshop.store, "solve") as work:
            sandbox = BuildSandbox(trees, work, lock.epoch).prepare()
            lock = replace(lock, libraries=(libraries.resolve(spec.python, lock, sandbox, workshop),))
        workshop.reporter.finish("libraries")
    return lock


def _with_interpreter(spec: Spec, python: str) -> tuple[PackageRequest, ...]:
    """The packages asked for, and the interpreter that the libraries need."""
    names = {request.name for request in spec.packages}
    if spec.python and python not in names:
        return tuple(sorted((*spec.packages, PackageRequest(python))))
    return spec.packages


def _keys(spec: Spec, folder: str) -> tuple[bytes, ...]:
    if not spec.base.key:
        return ()
    path = os.path.join(folder, spec.base.key)
    try:
        with open(path, "rb") as file:
            return (file.read(),)
    except OSError as error:
        raise SpecInvalid(
            f"envbox.toml: base.key: {spec.base.key} cannot be read: {error.strerror}",
            hint="put the archive's public key there",
        ) from error
