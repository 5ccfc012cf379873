"""A base that is built once, and for each test a project, a store that has it, and an archive to add packages to."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envbox.store.removal import remove_tree
from tests.hermetic.kit import Case, Debian, fill_store, real_debian, uv_blob
from tests.support import plain as people
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.plain import Person


class Ring:
    """What all tests of a run share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.debian: Debian = real_debian(folder / "base")
        self._modules = people.copy_modules(folder / "modules")
        self._people: dict[str, Person] = {}
        self._templates: dict[tuple[str, bool], Path] = {}
        self._numbers = itertools.count(1)

    def person(self, name: str) -> Person:
        """`runner` or `plain`."""
        if name not in self._people:
            try:
                make = people.plain if name == "plain" else people.runner
                self._people[name] = make(self.folder, self._modules)
            except people.NoPlainUser as reason:
                pytest.skip(str(reason))
        return self._people[name]

    def template(self, person: Person, *, python: bool) -> Path:
        """A store with a built base, and one with Python above it if wanted."""
        key = (person.name, python)
        if key not in self._templates:
            runner = self.person("runner")
            if person is runner:
                self._templates[key] = self._build(runner, python=python)
            else:  # layers are the same whoever made them; test_identity.py makes sure of that
                store = self.folder / f"template-{person.name}-{python}"
                copy_store(self.template(runner, python=python), store)
                person.own(store)
                self._templates[key] = store
        return self._templates[key]

    def _build(self, runner: Person, *, python: bool) -> Path:
        with Server(self.debian.folder) as server:
            case = self.case(runner, server, self.debian, None)
            if python:
                shutil.rmtree(case.store)
                copy_store(self.template(runner, python=False), case.store)
                shutil.copyfile(uv_blob(), case.store / "blobs/sha256" / uv_blob().name)
            case.spec(*(["python3"] if python else []))
            case.envbox("lock")
        return case.store

    def case(self, person: Person, server: Server, debian: Debian, template: Path | None) -> Case:
        """A new project."""
        folder = self.folder / f"case-{next(self._numbers)}"
        (folder / "project").mkdir(parents=True)
        case = Case(person, folder / "project", folder / "store", debian=debian, server=server)
        if template:
            fill_store(template, case.store, person)
        else:
            case.store.mkdir()
        person.own(folder)
        return case


def copy_store(source: Path, target: Path) -> None:
    """With the names that share a file."""
    subprocess.run(["cp", "-a", source, target], check=True)


@pytest.fixture(scope="session")
def ring() -> Iterator[Ring]:
    # Not below pytest's own folder, which other users cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="envbox-hermetic-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        yield Ring(folder)
    finally:
        remove_tree(str(folder))


@pytest.fixture
def new_case(ring: Ring) -> Iterator[Callable[..., Case]]:
    """Makes a project: new_case("plain", python=True, empty=False)."""
    servers = []
    cases = []

    def make(name: str = "runner", *, python: bool = False, empty: bool = False) -> Case:
        person = ring.person(name)
        template = None if empty else ring.template(person, python=python)
        folder = Path(tempfile.mkdtemp(prefix="archive-", dir=ring.folder))
        debian = ring.debian.copy(folder)
        debian.publish()
        server = Server(folder)
        servers.append(server)
        server.__enter__()
        cases.append(ring.case(person, server, debian, template))
        return cases[-1]

    yield make
    for server in servers:
        server.__exit__(None, None, None)
        remove_tree(str(server.content))
    for case in cases:
        remove_tree(str(case.folder.parent))


@pytest.fixture
def case(new_case: Callable[..., Case], request: pytest.FixtureRequest) -> Case:
    """A project with a built base in its store; `both` runs a test as root and as a plain user."""
    return new_case(getattr(request, "param", "runner"))


@pytest.fixture
def python_case(new_case: Callable[..., Case], request: pytest.FixtureRequest) -> Case:
    """The same with a built Python."""
    return new_case(getattr(request, "param", "runner"), python=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hermetic)
