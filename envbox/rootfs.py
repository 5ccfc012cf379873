"""Plan -> Rootfs: builds the layers that are missing, and holds every layer to its recorded digest."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from envbox import libraries, steps
from envbox.adoption import adopt_layers
from envbox.build_sandbox import BuildSandbox
from envbox.distros import DISTROS
from envbox.errors import BuildFailed, DigestMismatch, LayerDamaged
from envbox.managers import MANAGERS, GroupWork
from envbox.plan import Plan, Step, layers_of, make_plan, repositories_of, with_recorded
from envbox.provision import Provision
from envbox.sandbox.owners import ATTRIBUTE as OWNER
from envbox.store import difference, manifest
from envbox.store.layers import Layers
from envbox.store.normalise import Times, normalise
from envbox.store.normalise_table import ROWS, ROWS_OF_STEPS
from envbox.store.stack import Stack
from envbox.store.work import exclusive, seal, sweep, work_folder
from envbox.values import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbox.lock import Lock
    from envbox.store.manifest import Entry
    from envbox.store.normalise_table import Row
    from envbox.values import Digest
    from envbox.workshop import Workshop

_STEADY = "a second build here gave the same: the one promised was built by other rules, or from other files"
_RECORD = "if what was built is right, `envbox lock --record` records it"
_MOST_PATHS = 20  # that an error names


@dataclass(frozen=True)
class Rootfs:
    """A materialized root file system: its layers, the lowest first, and the lock with all digests recorded."""

    lock: Lock
    digests: tuple[Digest, ...]
    trees: tuple[str, ...]
    built: tuple[Step, ...]
    """The steps that had to be built this time."""


def plan(lock: Lock, workshop: Workshop) -> Plan:
    """What materializing the lock would do."""
    layers = Layers(workshop.store)
    return make_plan(lock, layers.made_from, layers.has)


def materialize(lock: Lock, workshop: Workshop) -> Rootfs:
    """Have all layers of the lock in the store.

    Raises DigestMismatch where a layer is not what the lock recorded, BuildFailed, HostError, PromiseBroken.
    """
    sweep(workshop.store)
    builder = _Builder(lock, workshop)
    todo = plan(lock, workshop)
    if todo.to_build and adopt_layers(todo, workshop):
        todo = plan(lock, workshop)
    if todo.to_build:
        builder.provision.fetch(todo)
    for step in todo.steps:
        builder.take(step)
    seal(workshop.store, builder.published())
    layers = Layers(workshop.store)
    trees = tuple(layers.tree(digest) for digest in builder.digests)
    return Rootfs(builder.recorded(todo), tuple(builder.digests), trees, tuple(builder.built))


class _Builder:
    """Takes the steps of a plan one after the other, each on top of those before."""

    def __init__(self, lock: Lock, workshop: Workshop) -> None:
        self.digests: list[Digest] = []
        self.built: list[Step] = []
        self._lock = lock
        self._workshop = workshop
        self._store = workshop.store
        self._layers = Layers(workshop.store)
        self._groups: dict[int, GroupWork] = {}
        self._reporter = workshop.reporter
        name, _, self._release = lock.request.base.partition(":")
        self._distro = DISTROS[name]
        self._manager = MANAGERS[self._distro.manager]
        self.provision = Provision(lock, self._manager, workshop)

    def take(self, step: Step) -> None:
        """Have the step's layer, and hold it to the digest that the lock recorded."""
        digest = step.present
        if digest is None:
            waiting = partial(self._reporter.note, f"waiting for another envbox to build: {step.title}")
            with exclusive(self._store, step.key[:32], waiting):
                digest = self._made_meanwhile() or self._build(step)
        if step.recorded and digest != step.recorded:
            raise self._mismatch(step, digest)
        self.digests.append(digest)

    def _made_meanwhile(self) -> Digest | None:
        """The next step's layer, if another envbox has made it since the plan was made."""
        return make_plan(self._lock, self._layers.made_from, self._layers.has).steps[len(self.digests)].present

    def _build(self, step: Step) -> Digest:
        digest = self._make(step)
        if step.recorded in {None, digest} and self._is_on_known():
            self._layers.remember(step.key, digest)
        self.built.append(step)
        return digest

    def _is_on_known(self) -> bool:
        """Whether all layers below are what their keys gave here, rather than what the lock alone says they are."""
        below = zip(layers_of(self._lock), self.digests, strict=False)
        return all(self._layers.made_from(step.key) == digest for step, digest in below)

    def _make(self, step: Step) -> Digest:
        self._reporter.start(step.key, f"Building {step.title}")
        with work_folder(self._store, step.kind) as work:
            try:
                digest = self._makers[step.kind](step, work)
            except manifest.OtherContent as error:
                self._check_trees(step)
                hint = "run the same command again, while nothing else changes the store"
                raise LayerDamaged(f"{step.title}: /{error.path} changed while it was read", hint=hint) from error
        self._reporter.finish(step.key, f"Built {step.title}")
        return digest

    @property
    def _makers(self) -> dict[str, Callable[[Step, str], Digest]]:
        return {
            "unpacked": self._make_unpacked,
            "configured": self._make_configured,
            "library": self._make_library,
            "step": self._make_step,
        }

    def _make_unpacked(self, step: Step, work: str) -> Digest:
        folder = os.path.join(work, "layer")
        tree = os.path.join(folder, "tree")
        os.makedirs(tree)
        if not step.recorded:  # no promise tells a damaged tree from a good one
            self._check_trees(step, before=True)
        return self._put(step, folder, self._manager.unpack(self._store, self._group_work(step), tree))

    def _make_configured(self, step: Step, work: str) -> Digest:
        started = time.time()
        sandbox = BuildSandbox(self._trees(), work, self._lock.epoch).prepare()
        log = self._log(step)
        group = self._group_work(step)
        self._manager.configure(self._store, group, sandbox, log, partial(self._reporter.detail, step.key))
        os.unlink(log)
        return self._put_upper(step, sandbox, started)

    def _make_library(self, step: Step, work: str) -> Digest:
        started = time.time()
        sandbox = BuildSandbox(self._trees(), work, libraries.EPOCH).prepare()
        log = self._log(step)
        libraries.install(self._lock.libraries[step.index], sandbox, self._workshop, log)
        return self._put_upper(step, sandbox, started)

    def _make_step(self, step: Step, work: str) -> Digest:
        started = time.time()
        sandbox = BuildSandbox(self._trees(), work, self._lock.epoch).prepare()
        log = self._log(step)
        detail = partial(self._reporter.detail, step.key)
        steps.run_step(self._lock.steps[step.index], sandbox, self._workshop.blobs, log, detail)
        os.unlink(log)
        return self._put_upper(step, sandbox, started, ROWS_OF_STEPS)

    def _log(self, step: Step) -> str:
        """Where the step's log goes, none being there of an earlier try."""
        log = self._store.path("logs", f"{step.key[:16]}.log")
        if os.path.exists(log):
            os.unlink(log)
        return log

    def _put_upper(self, step: Step, sandbox: BuildSandbox, started: float, rows: Sequence[Row] = ROWS) -> Digest:
        folder = os.path.join(sandbox.work, "layer")
        os.makedirs(folder)
        entries = normalise(sandbox.upper, sandbox.owners(), Times(sandbox.epoch, started), rows)
        os.rename(sandbox.upper, os.path.join(folder, "tree"))
        return self._put(step, folder, entries)

    def _put(self, step: Step, folder: str, entries: Sequence[Entry]) -> Digest:
        for entry in entries:
            path = visible(f"/{entry.path}")
            if manifest.is_reserved(entry.path):
                raise BuildFailed(f"{step.title}: it makes {path}, and layers tell by such names what they hide")
            if any(name == OWNER for name, _ in entry.xattrs):
                raise BuildFailed(f"{step.title}: it gives {path} the attribute {OWNER}, which is envbox's own")
        return self._layers.put(folder, entries)

    def _trees(self) -> tuple[str, ...]:
        return tuple(self._layers.tree(digest) for digest in self.digests)

    def _group_work(self, step: Step) -> GroupWork:
        if step.index not in self._groups:
            self._groups[step.index] = self._new_group_work(step)
        return self._groups[step.index]

    def _new_group_work(self, step: Step) -> GroupWork:
        group = self._lock.groups[step.index]
        below = Stack(self._layers, self.digests[: 2 * step.index])
        return GroupWork(
            distro=self._distro,
            release=self._release,
            architecture=self._lock.architecture,
            name=group.name,
            requested=group.requested,
            digests=tuple(artifact.digest for artifact in group.artifacts),
            repositories=repositories_of(self._lock, step.index),
            below=below.view,
            read_below=below.read,
        )

    def _check_trees(self, step: Step, *, before: bool = False) -> None:
        """What is linked must be what was unpacked: all of it, or what was there before. Raises LayerDamaged."""
        if step.kind in {"unpacked", "configured"}:
            self.provision.check(self._lock.groups[step.index], before=before)

    def _mismatch(self, step: Step, digest: Digest) -> DigestMismatch:
        """Both trees stay in the store until it is cleaned up, for a person to look at."""
        assert step.recorded, "only a recorded digest can be missed"
        self._check_trees(step)
        other, kept = step.recorded, "what was promised"
        if not self._layers.has(other):  # nothing to compare with but a second build: what differs from build to build?
            self.provision.fetch(Plan((replace(step, present=None),)))
            other, kept = self._make(step), "what a second build gave"
        found = difference.compare(self._layers.entries(other), self._layers.entries(digest))
        told = f"the layer {step.title!r} is {digest.short}, envbox.lock promises {step.recorded.short}"
        if not found:
            return DigestMismatch(f"{told}\nwhat was built: {self._layers.tree(digest)}\n{_STEADY}", hint=_RECORD)
        heading = "these files differ:" if other == step.recorded else "these files differ from build to build:"
        lines = [f"  {line}" for line in difference.lines(found, _MOST_PATHS)]
        places = [f"what was built: {self._layers.tree(digest)}", f"{kept}: {self._layers.tree(other)}"]
        hint = f"`envbox diff --files {other.short} {digest.short}` lists all; {_RECORD}"
        return DigestMismatch("\n".join([told, *places, heading, *lines]), hint=hint)

    def published(self) -> list[str]:
        """Everything put into the store that should outlive a crash of the host."""
        trees = self.provision.trees() if self.built else []
        return [*trees, *(self._layers.folder(digest) for digest in self.digests)]

    def recorded(self, todo: Plan) -> Lock:
        """The lock with the digest of every layer."""
        return with_recorded(self._lock, {step.key: d for step, d in zip(todo.steps, self.digests, strict=True)})
