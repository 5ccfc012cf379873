"""What front ends call: load, lock, build, run. Each is a short composition of the stages."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from envbox import inputs, upkeep
from envbox import lock as locks
from envbox import rootfs as roots
from envbox import session as sessions
from envbox import spec as specs
from envbox.build_sandbox import setup_error
from envbox.comparison import Change
from envbox.diff import Diff, LayerDiff, diff
from envbox.entry import Basis, write_record
from envbox.errors import EnvboxError, LockInvalid, LockStale, SpecInvalid
from envbox.host import probe, run
from envbox.host.fetch import Fetcher
from envbox.plan import RECIPE, without_digests
from envbox.project import locate
from envbox.report import Reporter, Silent
from envbox.resolve import Resolver
from envbox.sandbox import launch
from envbox.sources import configured
from envbox.store.gc import Removed
from envbox.store.store import Store, explaining
from envbox.store.work import write_files
from envbox.upkeep import Contents, Verification, collect, contents, damaged, verify_store
from envbox.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from envbox.lock import Lock
    from envbox.plan import Plan
    from envbox.rootfs import Rootfs
    from envbox.spec import Spec


@dataclass(frozen=True)
class RunResult:
    """How a command ended. The output is empty unless it was captured."""

    argv: tuple[str, ...]
    exit_status: int
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass(frozen=True)
class Status:
    """What is known of a project without doing anything."""

    project: str
    spec: Spec
    lock: Lock | None
    mismatches: tuple[str, ...]
    plan: Plan | None
    store: str

    @property
    def is_built(self) -> bool:
        """True if nothing has to be done before entering."""
        return self.plan is not None and all(step.is_kept for step in self.plan.steps) and not self.mismatches


@dataclass(frozen=True)
class Inputs:
    """The text of an envbox.toml as it was read, and the sha256 of each file that it names."""

    text: bytes
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Project:
    """A folder with an envbox.toml. Made by `load`."""

    folder: str
    spec: Spec
    inputs: Inputs
    store: Store
    reporter: Reporter

    @property
    def lock_path(self) -> str:
        """Where its envbox.lock is, or will be."""
        return os.path.join(self.folder, sessions.LOCK_NAME)

    def lock(self, *, record: bool = False) -> Rootfs:
        """Write envbox.lock with the digest of every layer, and build it. What is locked already is held if it can be.

        With `record` the digests of layers are not: those of what is built here take their place.

        Raises UnknownPackage, Unsatisfiable, NetworkFailed, SignatureInvalid, BuildFailed.
        """
        former = self._former_lock()
        return self._solved(without_digests(former) if former and record else former)

    def update(self) -> Rootfs:
        """As `lock`, but choose everything afresh: the archive and the indexes as they are now."""
        return self._solved(None)

    def add(self, packages: Sequence[str] = (), python: Sequence[str] = ()) -> Rootfs:
        """Ask for more in envbox.toml, lock and build. Nothing is written unless all of it succeeds."""
        return self._changed(specs.with_added, specs.Change(tuple(packages), tuple(python)))

    def remove(self, packages: Sequence[str] = (), python: Sequence[str] = ()) -> Rootfs:
        """The opposite of `add`. Raises UnknownPackage for what envbox.toml does not ask for."""
        return self._changed(specs.with_removed, specs.Change(tuple(packages), tuple(python)))

    def _changed(self, edit: Callable[[str, specs.Change], str], change: specs.Change) -> Rootfs:
        text = edit(self.inputs.text.decode("utf-8-sig"), change)
        try:
            spec = specs.parse(text, file=sessions.SPEC_NAME, folder=self.folder, read=self._read_text)
        except SpecInvalid as error:
            raise SpecInvalid(error.message, hint="correct what you asked for; nothing was changed") from None
        project = replace(self, spec=spec, inputs=replace(self.inputs, text=text.encode()))
        former = locks.load(self.lock_path) if os.path.exists(self.lock_path) else None
        return project._solved(former, instead_of=self.inputs.text)  # noqa: SLF001 - ourselves, changed

    def _read_text(self, path: str) -> str:
        return _read(os.path.join(self.folder, path)).decode("utf-8-sig")

    def _former_lock(self) -> Lock | None:
        """What is locked, if it can be gone on from."""
        try:
            return locks.load(self.lock_path) if os.path.exists(self.lock_path) else None
        except LockInvalid as error:
            self.reporter.note(f"{error.message}: locking afresh")
            return None

    def _solved(self, former: Lock | None, instead_of: bytes | None = None) -> Rootfs:
        prints = inputs.fingerprints(self.spec.steps, self.folder)
        with self._working() as workshop:
            resolver = Resolver(self.spec, self.folder, workshop, lambda part: roots.materialize(part, workshop).trees)
            rootfs = roots.materialize(resolver.held(former) if former else resolver.fresh(), workshop)
            text = locks.dumps(rootfs.lock).encode()
            self._write((sessions.LOCK_NAME, text), *self._changed_spec(instead_of))
            self._record(text, rootfs, prints)
        return rootfs

    def _changed_spec(self, instead_of: bytes | None) -> list[tuple[str, bytes]]:
        """The spec to write, if it is another than the file's; nobody else's change to that is lost."""
        if instead_of is None:
            return []
        path = os.path.join(self.folder, sessions.SPEC_NAME)
        if _read(path) != instead_of:
            raise LockStale(f"{path} was changed by somebody else meanwhile", hint="run the same command again")
        return [(sessions.SPEC_NAME, self.inputs.text)]

    def build(self) -> Rootfs:
        """Have what envbox.lock says in the store; a missing lock is made. Raises LockStale if it is out of date."""
        if not os.path.exists(self.lock_path):
            self.reporter.note(f"There is no {sessions.LOCK_NAME} yet: locking {self.spec.base} as it is now")
            return self.lock()
        lock, text = self._read_lock()
        prints = inputs.fingerprints(self.spec.steps, self.folder)
        with self._working() as workshop:
            inputs.provide(lock, self.folder, workshop)
            rootfs = roots.materialize(lock, workshop)
            if rootfs.lock != lock:  # the first to build it records the digests
                text = locks.dumps(rootfs.lock).encode()
                self._write((sessions.LOCK_NAME, text))
            self._record(text, rootfs, prints)
        return rootfs

    def read_lock(self) -> Lock:
        """The lock, if it agrees with the spec and is for this machine and this envbox.

        Raises LockStale, LockInvalid.
        """
        return self._read_lock()[0]

    def _read_lock(self) -> tuple[Lock, bytes]:
        lock, text = _unchanged(self.lock_path, locks.load)
        differences = locks.mismatches(lock, self.spec)
        if differences:
            lines = "\n".join(f"  {line}" for line in differences)
            raise LockStale(f"{sessions.LOCK_NAME} is out of date:\n{lines}", hint="run `envbox lock` to solve again")
        if lock.recipe != RECIPE:
            raise LockStale(
                f"{sessions.LOCK_NAME} is of recipe {lock.recipe}, this envbox builds by recipe {RECIPE}",
                hint="run `envbox lock` to solve and build anew, or use the envbox that wrote it",
            )
        if lock.architecture is not probe.architecture():
            raise LockInvalid(
                f"{self.lock_path} is for {lock.architecture.value}, this machine is {probe.architecture().value}",
                hint="run `envbox lock` in a copy of the project on this machine",
            )
        return lock, text

    def status(self) -> Status:
        """Where the project stands. Raises LockInvalid."""
        if not os.path.exists(self.lock_path):
            return Status(self.folder, self.spec, None, (), None, self.store.root)
        lock = locks.load(self.lock_path)
        plan = roots.plan(lock, Workshop(self.store))
        return Status(self.folder, self.spec, lock, locks.mismatches(lock, self.spec), plan, self.store.root)

    def verify(self, *, repair: bool = False) -> Verification:
        """Read again all that the store has for envbox.lock.

        `repair` takes what is damaged out of the store, so that `build` makes it anew. Raises LayerDamaged where a
        session stands on it, LockInvalid.
        """
        record = sessions.load_record(self.store.root, self.folder)
        found = upkeep.verify_lock(locks.load(self.lock_path), record, self.store.prepare(), self.reporter)
        return upkeep.repaired(found, self.store, self.reporter) if repair else found

    def session(self, *, root: bool = False) -> sessions.Session:
        """A session of the project's environment, built first if need be. For a process with one thread."""
        record = sessions.load_record(self.store.root, self.folder)
        if record is None:
            self.build()
            record = sessions.load_record(self.store.root, self.folder)
        if record is None:
            raise LockStale(
                f"{sessions.SPEC_NAME} or {sessions.LOCK_NAME} changed while the environment was built",
                hint="run the same command again",
            )
        return sessions.Session(self.store.root, self.folder, record, root=root)

    def run(self, argv: Sequence[str], *, capture: bool = False, root: bool = False, directory: str = "") -> RunResult:
        """Run a command in the environment, in a process of its own, from any thread; built first if need be."""
        session = self.session(root=root)
        with session.work() as work:
            return _run_sandbox(session.sandbox(work, argv, directory or None), work, capture=capture)

    def _write(self, *files: tuple[str, bytes]) -> None:
        """Replace files of the project, all or none; links stay links, and modes what they are."""
        changed = []
        for name, text in files:
            path = os.path.realpath(os.path.join(self.folder, name))
            there = os.path.exists(path)
            if not there or _read(path) != text:
                changed.append((path, text, os.stat(path).st_mode & 0o777 if there else 0o644))
        try:
            write_files(changed)
        except OSError as error:
            names = " and ".join(name for name, _ in files)
            raise LockInvalid(
                f"{names} cannot be written in {self.folder}: {error.strerror}",
                hint="make the project's folder writable, and some space on its disk",
            ) from error

    def _record(self, lock: bytes, rootfs: Rootfs, prints: tuple[tuple[str, object], ...]) -> None:
        identity = sessions.identity_of(self.folder, self.inputs.text, lock)
        write_record(self.spec, Basis(self.folder, identity, self.inputs.sources, prints), rootfs, self.store)

    @contextlib.contextmanager
    def _working(self) -> Iterator[Workshop]:
        self.store.prepare()
        probe.check_store_filesystem(self.store.root)
        with explaining(self.store.root), upkeep.building(self.store, self.reporter), Fetcher() as fetcher:
            yield Workshop(self.store, fetcher, self.reporter, configured(self.spec.sources))


def load(path: str = ".", *, store: str | None = None, reporter: Reporter | None = None) -> Project:
    """The project at `path`, a folder in or below it, or its envbox.toml. Raises ProjectNotFound, SpecInvalid."""
    folder = locate(path)
    spec, text = _unchanged(os.path.join(folder, sessions.SPEC_NAME), specs.load)
    sources = tuple((name, sessions.sha256_of(_read(os.path.join(folder, name)))) for name in spec.files)
    return Project(folder, spec, Inputs(text, sources), Store(store), reporter or Silent())


def _run_sandbox(plain: dict[str, Any], work: str, *, capture: bool) -> RunResult:
    spec_path, error_path = os.path.join(work, "sandbox.json"), os.path.join(work, "sandbox-error")
    with open(spec_path, "w", encoding="utf-8") as file:
        json.dump(plain, file)
    command = launch.command(spec_path, error_path)
    if capture:
        completed = run.run(command, capture=True)
        result = RunResult(tuple(plain["argv"]), completed.status, completed.stdout, completed.stderr)
    else:
        result = RunResult(tuple(plain["argv"]), run.foreground(command))
    if result.exit_status == launch.SETUP_FAILED and os.path.exists(error_path):
        raise setup_error(error_path)
    return result


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


_Parsed = TypeVar("_Parsed")


def _unchanged(path: str, load: Callable[[str], _Parsed]) -> tuple[_Parsed, bytes]:
    """What `load` made of a file, and the bytes that it made it of: somebody may write it at the same time."""
    while True:
        try:
            before = _read(path)
        except OSError:
            before = b""  # what that means is for `load` to say
        parsed = load(path)
        if _read(path) == before:
            return parsed, before


__all__ = [
    "Change",
    "Contents",
    "Diff",
    "EnvboxError",
    "LayerDiff",
    "Project",
    "Removed",
    "RunResult",
    "Status",
    "Verification",
    "collect",
    "contents",
    "damaged",
    "diff",
    "load",
    "verify_store",
]
