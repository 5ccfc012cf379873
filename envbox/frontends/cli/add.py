"""`envbox add` and `envbox remove`: change what envbox.toml asks for, and have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from envbox import api
from envbox.errors import CommandNotStarted
from envbox.frontends.cli import counted
from envbox.frontends.cli.progress import reporter

if TYPE_CHECKING:
    from envbox.rootfs import Rootfs

_Packages = Annotated[list[str] | None, typer.Argument(help="Packages of the distribution, each NAME or NAME=VERSION.")]
_Libraries = Annotated[
    list[str] | None, typer.Option("--python", "-p", help="A Python library, such as 'numpy>=2'. Can be repeated.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("add")(add)
    app.command("remove")(remove)


def add(packages: _Packages = None, python: _Libraries = None) -> None:
    """Ask for more: envbox.toml and envbox.lock are changed once all of it is built.

    What is locked stays as it is; the new packages come as one more group on top, from the archive as it was locked.

    Examples:

        envbox add jq

        envbox add gdal-bin graphviz --python "pandas>=2"
    """
    _check(packages, python, "add")
    with reporter() as watcher:
        rootfs = api.load(reporter=watcher).add(packages or (), python or ())
    typer.echo(f"Added {_named(packages, python)}: {_told(rootfs)}.")


def remove(packages: _Packages = None, python: _Libraries = None) -> None:
    """Ask for less. What is left is chosen anew, from the archive as it was locked.

    Examples:

        envbox remove jq

        envbox remove --python pandas
    """
    _check(packages, python, "remove")
    with reporter() as watcher:
        rootfs = api.load(reporter=watcher).remove(packages or (), python or ())
    typer.echo(f"Removed {_named(packages, python)}: {_told(rootfs)}.")


def _check(packages: list[str] | None, python: list[str] | None, verb: str) -> None:
    if not packages and not python:
        raise CommandNotStarted(f"nothing was named to {verb}", hint=f"for example: envbox {verb} jq --python numpy")


def _named(packages: list[str] | None, python: list[str] | None) -> str:
    return ", ".join([*(packages or ()), *(python or ())])


def _told(rootfs: Rootfs) -> str:
    built = counted(len(rootfs.built), "layer", "layers")
    return f"built {built} of {len(rootfs.digests)}" if rootfs.built else "all layers are here"
