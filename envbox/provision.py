"""What layers are made of, had in the store: artifacts downloaded, packages unpacked, each once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from envbox import inputs, libraries
from envbox.errors import ArtifactHostile
from envbox.store.verify import check_trees
from envbox.store.work import work_folder

if TYPE_CHECKING:
    from concurrent.futures import Future

    from envbox.lock import Group, Lock
    from envbox.managers import Manager
    from envbox.plan import Plan
    from envbox.values import Artifact
    from envbox.workshop import Workshop

_HOSTILE = "leave the package out of `packages`, or take it from another archive"
_MOST_UNPACKERS = 8  # xz releases the interpreter's lock; an eighth of the work does not


class Provision:
    """Has in the store what the missing layers of a lock need."""

    def __init__(self, lock: Lock, manager: Manager, workshop: Workshop) -> None:
        self._lock = lock
        self._manager = manager
        self._workshop = workshop
        self._store = workshop.store
        self._before: set[Artifact] = set()
        """Whose trees were in the store before: nobody has read them since."""

    def fetch(self, todo: Plan) -> None:
        """Download what the missing layers need; .debs are unpacked while others still come.

        Raises NetworkFailed, ArtifactMismatch, ArtifactHostile.
        """
        debs, others = self._needed(todo)
        self._before.update(filter(self._has_tree, debs))
        reporter = self._workshop.reporter
        if debs:
            reporter.start("unpack", "Unpacking packages", len(debs))
        unpackers = min(len(os.sched_getaffinity(0)), _MOST_UNPACKERS)
        with work_folder(self._store, "unpack") as work, ThreadPoolExecutor(unpackers) as pool:
            unpacking: list[Future[None]] = []
            unpacked = {artifact.digest for artifact in debs}

            def arrived(artifact: Artifact) -> None:
                if artifact.digest in unpacked:
                    unpacking.append(pool.submit(self._unpack, artifact, work))

            try:
                # The largest first: none is left to a single core at the end.
                largest_first = sorted(debs, key=lambda artifact: -artifact.size)
                self._workshop.fetch([*largest_first, *others], self._lock, arrived)
                for future in unpacking:
                    future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        reporter.finish("unpack")

    def _needed(self, todo: Plan) -> tuple[list[Artifact], list[Artifact]]:
        """Packages of the missing layers, and whatever else they need."""
        lock, missing = self._lock, todo.to_build
        groups = {step.index for step in missing if step.kind in {"unpacked", "configured"}}
        debs = [artifact for index in sorted(groups) for artifact in lock.groups[index].artifacts]
        others = [a for s in missing if s.kind == "library" for a in libraries.artifacts_of(lock.libraries[s.index])]
        others += [a for s in missing if s.kind == "step" for a in inputs.downloads(lock.steps[s.index])]
        return debs, others

    def _unpack(self, artifact: Artifact, work: str) -> None:
        name = f"{artifact.name} {artifact.version}"
        read = partial(self._workshop.blobs.read, artifact.digest, name)
        try:
            self._manager.add_tree(self._store, artifact, read, work)
        except ArtifactHostile as error:
            about = "" if error.message.startswith(name) else f"{name}: "
            raise ArtifactHostile(f"{about}{error.message}", hint=error.hint or _HOSTILE) from error
        self._workshop.reporter.advance("unpack", 1)

    def check(self, group: Group, *, before: bool) -> None:
        """Read the package trees of a group again, all or only those that were there before. Raises LayerDamaged."""
        among = self._before if before else set(filter(self._has_tree, group.artifacts))
        check_trees(self._store, {a.digest.hex: f"{a.name} {a.version}" for a in group.artifacts if a in among})

    def trees(self) -> list[str]:
        """Where the package trees of the lock are, those that are here."""
        artifacts = [artifact for group in self._lock.groups for artifact in group.artifacts]
        return [self._tree(artifact) for artifact in artifacts if self._has_tree(artifact)]

    def _has_tree(self, artifact: Artifact) -> bool:
        return os.path.isdir(self._tree(artifact))

    def _tree(self, artifact: Artifact) -> str:
        return self._store.path("packages-v1", artifact.digest.hex)
