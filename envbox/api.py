"""What front ends call: load, lock, build, run. Each is a short composition of the stages."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envbox import lock as locks
from envbox import rootfs as roots
from envbox import session as sessions
from envbox import spec as specs
from envbox.build_sandbox import setup_error
from envbox.entry import write_record
from envbox.errors import EnvboxError, LockInvalid, LockStale, ProjectNotFound
from envbox.host import probe, run
from envbox.host.fetch import Fetcher
from envbox.report import Reporter, Silent
from envbox.resolve import resolve
from envbox.sandbox import launch
from envbox.store.removal import remove_tree
from envbox.store.store import Store, explaining
from envbox.store.work import write_file
from envbox.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from envbox.lock import Lock
    from envbox.plan import Plan
    from envbox.rootfs import Rootfs
    from envbox.spec import Spec

_SETUP_FAILED = 125
_TOP = (
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "var",
)
_TAKEN = frozenset({"/", "/home/dev", "/opt/envbox", "/opt/envbox/python", *(f"/{name}" for name in _TOP)})
_KERNEL = ("/proc/", "/sys/", "/dev/")


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
        return self.plan is not None and not self.plan.to_build and not self.mismatches


@dataclass(frozen=True)
class Project:
    """A folder with an envbox.toml. Made by `load`."""

    folder: str
    spec: Spec
    store: Store
    reporter: Reporter

    @property
    def lock_path(self) -> str:
        """Where its envbox.lock is, or will be."""
        return os.path.join(self.folder, sessions.LOCK_NAME)

    def lock(self) -> Rootfs:
        """Solve afresh, build, and write envbox.lock with the digest of every layer."""
        with self._working() as workshop:
            resolved = resolve(self.spec, self.folder, workshop, lambda part: roots.materialize(part, workshop).trees)
            return self._finish(roots.materialize(resolved, workshop))

    def build(self) -> Rootfs:
        """Have what envbox.lock says in the store; a missing lock is made. Raises LockStale if it is out of date."""
        if not os.path.exists(self.lock_path):
            self.reporter.note(f"There is no {sessions.LOCK_NAME} yet: locking {self.spec.base} as it is now")
            return self.lock()
        lock = self.read_lock()
        with self._working() as workshop:
            return self._finish(roots.materialize(lock, workshop))

    def read_lock(self) -> Lock:
        """The lock, if it agrees with the spec and is for this machine. Raises LockStale, LockInvalid."""
        lock = locks.load(self.lock_path)
        differences = locks.mismatches(lock, self.spec)
        if differences:
            lines = "\n".join(f"  {line}" for line in differences)
            raise LockStale(f"{sessions.LOCK_NAME} is out of date:\n{lines}", hint="run `envbox lock` to solve again")
        if lock.architecture is not probe.architecture():
            raise LockInvalid(
                f"{self.lock_path} is for {lock.architecture.value}, this machine is {probe.architecture().value}",
                hint="run `envbox lock` in a copy of the project on this machine",
            )
        return lock

    def status(self) -> Status:
        """Where the project stands. Raises LockInvalid."""
        if not os.path.exists(self.lock_path):
            return Status(self.folder, self.spec, None, (), None, self.store.root)
        lock = locks.load(self.lock_path)
        plan = roots.plan(lock, Workshop(self.store))
        return Status(self.folder, self.spec, lock, locks.mismatches(lock, self.spec), plan, self.store.root)

    def session(self, *, root: bool = False) -> sessions.Session:
        """A session of the project's environment, built first if need be. For a process with one thread."""
        record = sessions.load_record(self.store.root, self.folder)
        if record is None:
            self.build()
            record = sessions.load_record(self.store.root, self.folder)
        assert record is not None, "building writes the record"
        return sessions.Session(self.store.root, self.folder, record, root=root)

    def run(self, argv: Sequence[str], *, capture: bool = False, root: bool = False, directory: str = "") -> RunResult:
        """Run a command in the environment, in a process of its own, from any thread; built first if need be."""
        session = self.session(root=root)
        work = session.prepare_work()
        try:
            plain = session.sandbox(work, argv, directory or None)
            return _run_sandbox(plain, work, capture=capture)
        finally:
            remove_tree(work)

    def _finish(self, rootfs: Rootfs) -> Rootfs:
        text = locks.dumps(rootfs.lock)
        if not os.path.exists(self.lock_path) or _text_of(self.lock_path) != text:
            write_file(self.lock_path, text.encode())
        write_record(self.spec, self.folder, rootfs, self.store)
        return rootfs

    @contextlib.contextmanager
    def _working(self) -> Iterator[Workshop]:
        self.store.prepare()
        probe.check_store_filesystem(self.store.root)
        with explaining(self.store.root), Fetcher() as fetcher:
            yield Workshop(self.store, fetcher, self.reporter)


def load(path: str = ".", *, store: str | None = None, reporter: Reporter | None = None) -> Project:
    """The project at `path`, a folder in or below it, or its envbox.toml. Raises ProjectNotFound, SpecInvalid."""
    try:
        start = os.path.realpath(path)
    except FileNotFoundError as error:
        raise ProjectNotFound("the folder that you are in is gone", hint="go to another with `cd`") from error
    folder = sessions.find_project(os.path.dirname(start) if os.path.isfile(start) else start)
    if folder is None:
        raise ProjectNotFound(
            f"there is no {sessions.SPEC_NAME} in {start} or any folder above it",
            hint="run `envbox init` to write one",
        )
    if folder in _TAKEN or folder.startswith(_KERNEL):
        raise ProjectNotFound(
            f"a project cannot be in {folder}: it would hide what an environment has there",
            hint="move it to a folder of its own",
        )
    spec = specs.load(os.path.join(folder, sessions.SPEC_NAME))
    return Project(folder, spec, Store(store), reporter or Silent())


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
    if result.exit_status == _SETUP_FAILED and os.path.exists(error_path):
        raise setup_error(error_path)
    return result


def _text_of(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


__all__ = ["EnvboxError", "Project", "RunResult", "Status", "load"]
