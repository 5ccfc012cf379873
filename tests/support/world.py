"""A project and a store of one person, in which the whole of envbox runs as it does for people."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbox.report import Silent
from envbox.store.difference import lines
from envbox.store.removal import remove_tree
from envbox.store.store import Store
from envbox.store.verify import everything, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.plain import Person

_SHOWN = 30
_BEHIND = """
import sys, time
now = time.time
time.time = lambda: now() - {}
from envbox.__main__ import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    argv: tuple[str, ...]
    status: int
    output: str
    errors: str

    def __str__(self) -> str:
        return f"{' '.join(self.argv)} -> {self.status}\n{self.output}\n{self.errors}"


@dataclass
class World:
    """Whoever runs envbox, where, and with what around it. `wrapper` is put before the command's argv.

    `behind`: by how many seconds envbox's clock is behind the archive's.
    """

    person: Person
    folder: Path
    store: Path
    environment: dict[str, str] = field(default_factory=dict)
    umask: int = 0o022
    wrapper: tuple[str, ...] = ()
    behind: float = 0.0

    @property
    def lock(self) -> Path:
        """The project's lock."""
        return self.folder / "envbox.lock"

    def write(self, name: str, text: str) -> Path:
        """A file of the person's in the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.person.own(self.folder)
        return path

    def variables(self) -> dict[str, str]:
        """The environment of a command."""
        return {**self.person.environment(), "ENVBOX_STORE": str(self.store), **self.environment}

    def options(self) -> dict[str, Any]:
        """What subprocess needs to run something as the person, here."""
        return {"cwd": self.folder, "env": self.variables(), "umask": self.umask, **self.person.identity()}

    def command(self, *arguments: str) -> list[str]:
        """The argv of an envbox command."""
        start = ["-c", _BEHIND.format(self.behind)] if self.behind else ["-m", "envbox"]
        return [*self.wrapper, self.person.python, *start, *arguments]

    def execute(self, argv: list[str], status: int | None = 0, **options: Any) -> Result:
        """Run a program of the host to its end as the person; `status` is what it must exit with, None: anything."""
        options = {"stdin": subprocess.DEVNULL, "timeout": 600, **self.options(), **options}
        done = subprocess.run(argv, capture_output=True, check=False, **options)
        output, errors = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        result = Result(tuple(argv), done.returncode, output, errors)
        assert status is None or result.status == status, str(result)
        return result

    def envbox(self, *arguments: str, status: int | None = 0, **options: Any) -> Result:
        """Run an envbox command."""
        return self.execute(self.command(*arguments), status, **options)

    def run(self, *argv: str, status: int | None = 0, **options: Any) -> str:
        """Standard output of a command in the environment."""
        return self.envbox("run", "--", *argv, status=status, **options).output

    def sibling(self, name: str) -> World:
        """Another project with the same spec and lock, and the same store."""
        folder = self.folder.parent / name
        folder.mkdir()
        for file in ("envbox.toml", "envbox.lock"):
            shutil.copy(self.folder / file, folder / file)
        self.person.own(folder)
        return replace(self, folder=folder)

    def layers(self) -> set[str]:
        """The digests of all layers in the store."""
        return set(os.listdir(self.store / "layers-v1"))

    def run_as_root(self, *argv: str, status: int | None = 0) -> str:
        """As `run`, as root inside."""
        return self.envbox("run", "--root", "--", *argv, status=status).output


class Cellar:
    """Artifacts that earlier tests downloaded, kept in $ENVBOX_TEST_CACHE, else ~/.cache/envbox-tests."""

    def __init__(self, folder: Path) -> None:
        cache = os.environ.get("ENVBOX_TEST_CACHE") or os.path.expanduser("~/.cache/envbox-tests")
        self.folder = Path(cache)
        self._kept = self.folder / "blobs"
        self._kept.mkdir(parents=True, exist_ok=True)
        self._own = folder / "blobs"
        self._own.mkdir()
        self._owners: dict[str, Path] = {}

    def fill(self, world: World) -> None:
        """Put all artifacts into the world's new store, as files of its person."""
        target = world.store / "blobs" / "sha256"
        Store(str(world.store)).prepare()
        source = self._of(world.person)
        for entry in os.scandir(source):
            _link_or_copy(entry.path, target / entry.name)
        world.person.own(world.store)

    def keep(self, world: World) -> None:
        """Take what the world's store has downloaded."""
        for entry in os.scandir(world.store / "blobs" / "sha256"):
            if "." not in entry.name and not (self._kept / entry.name).exists():
                temporary = self._kept / f"{entry.name}.{os.getpid()}"
                shutil.copyfile(entry.path, temporary)
                os.replace(temporary, self._kept / entry.name)
            if "." not in entry.name and not (self._of(world.person) / entry.name).exists():
                _link_or_copy(entry.path, self._of(world.person) / entry.name)

    def _of(self, person: Person) -> Path:
        """One copy for each person, since a file can only be linked to by its owner."""
        if person.name not in self._owners:
            own = self._owners[person.name] = self._own / person.name
            shutil.copytree(self._kept, own)
            person.own(own)
        return self._owners[person.name]


def _link_or_copy(source: str, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def new_folder(person: Person, parent: str | None = None) -> Iterator[Path]:
    """A folder of the person's, on a real file system, removed at the end with all that is in it."""
    place = tempfile.mkdtemp(prefix="envbox-test-", dir=parent or os.environ.get("TMPDIR") or "/var/tmp")
    os.chmod(place, 0o755)
    person.own(place)
    try:
        yield Path(place)
    finally:
        remove_tree(place)


@contextlib.contextmanager
def new_world(
    person: Person, spec: str, cellar: Cellar, *, parent: str | None = None, lock: bytes | None = None
) -> Iterator[World]:
    """A project with `spec`, and a new store that has the cellar's artifacts; it must verify at the end."""
    with new_folder(person, parent) as place:
        world = World(person, place / "a project", place / "store")
        world.folder.mkdir()
        world.write("envbox.toml", spec)
        if lock is not None:
            world.lock.write_bytes(lock)
            person.own(world.lock)
        cellar.fill(world)
        yield world
        cellar.keep(world)
        verify_store(world.store)


def verify_store(store: Path) -> None:
    """Everything in the store is what its name promises, down to every byte, and nothing is left in tmp/."""
    problems = [f"tmp/{name} was left behind" for name in os.listdir(store / "tmp")]
    place = Store(str(store))
    for damage in verify(place, everything(place), Silent()).damages:
        problems += [f"{damage.kind} {damage.name}: {line}" for line in lines(damage.differences, _SHOWN)]
    for entry in os.scandir(store / "keys-v1"):
        digest_text = Path(entry.path).read_text(encoding="ascii").strip().removeprefix("sha256:")
        if not (store / "layers-v1" / digest_text).is_dir():
            problems.append(f"key {entry.name} names a layer that is not there")
    assert not problems, f"{store} does not verify:\n" + "\n".join(problems[:_SHOWN])
