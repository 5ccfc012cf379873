"""Environments of the real archive, each built once by the user who runs the tests and once by a plain one."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from benchmarks.identity.corpus import environments
from tests.support import plain as people
from tests.support.world import Cellar, World, new_folder, new_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.plain import Person

    Maker = Callable[..., World]

EXAMPLE = people.REPOSITORY / "examples" / "geo"


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder for the whole run, that everybody can reach."""
    nobody_else = people.Person("runner", "", "", "")
    with new_folder(nobody_else) as folder:
        yield folder


@pytest.fixture(scope="session")
def modules(place: Path) -> Path:
    """The envbox that all of them run."""
    return people.copy_modules(place / "modules")


@pytest.fixture(scope="session")
def runner(place: Path, modules: Path) -> Person:
    """The user who runs the tests, in CI root."""
    return people.runner(place, modules)


@pytest.fixture(scope="session")
def plain(place: Path, modules: Path) -> Person:
    """A user without privileges or subordinate ids."""
    try:
        return people.plain(place, modules)
    except people.NoPlainUser as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cellar(place: Path) -> Cellar:
    """What was downloaded before."""
    return Cellar(place)


@pytest.fixture(scope="session")
def worlds(cellar: Cellar) -> Iterator[Maker]:
    """Makes worlds that last as long as the tests; each must verify at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda person, spec, **options: stack.enter_context(new_world(person, spec, cellar, **options))


@pytest.fixture
def world_for_one_test(cellar: Cellar) -> Iterator[Maker]:
    """Makes worlds for one test; each must verify at its end."""
    with contextlib.ExitStack() as stack:
        yield lambda person, spec, **options: stack.enter_context(new_world(person, spec, cellar, **options))


@pytest.fixture(scope="session")
def minimal(worlds: Maker, runner: Person) -> World:
    """A bare debian:13, by the user who runs the tests."""
    return _locked(worlds(runner, 'name = "bare"\nbase = "debian:13"\n'))


@pytest.fixture(scope="session")
def minimal_plain(worlds: Maker, plain: Person) -> World:
    """A bare debian:13, locked and built by a plain user."""
    return _locked(worlds(plain, 'name = "bare"\nbase = "debian:13"\n'))


@pytest.fixture(scope="session")
def nasty(worlds: Maker, runner: Person) -> World:
    """The corpus's environment for every run of the tests, by the user who runs them."""
    return _locked(worlds(runner, environments()["nasty"].text))


@pytest.fixture(scope="session")
def geo(worlds: Maker, runner: Person) -> World:
    """The geo example, by the user who runs the tests."""
    return _locked(_with_example(worlds(runner, "")))


@pytest.fixture(scope="session")
def geo_plain(worlds: Maker, plain: Person, geo: World) -> World:
    """The geo example, by a plain user, from the lock that the other wrote."""
    world = _with_example(worlds(plain, "", lock=geo.lock.read_bytes()))
    world.envbox("build")
    return world


@pytest.fixture
def only_root() -> None:
    """For what only root can do."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def _with_example(world: World) -> World:
    for name in ("envbox.toml", "analysis.py", "data.csv"):
        shutil.copy(EXAMPLE / name, world.folder / name)
    world.person.own(world.folder)
    return world


def _locked(world: World) -> World:
    world.envbox("lock")
    return world
