"""`envbox lock`: solve what is new and record everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from envbox import api
from envbox.frontends.cli import counted
from envbox.frontends.cli.progress import reporter

if TYPE_CHECKING:
    from envbox.rootfs import Rootfs


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("lock")(lock)


def lock(
    check: Annotated[bool, typer.Option("--check", help="Only tell whether envbox.lock still agrees.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Hold packages and libraries, but record layers as they are built here.")
    ] = False,
) -> None:
    """Solve envbox.toml, build, and write envbox.lock. What is locked already stays as it is: see `envbox update`.

    Examples:

        envbox lock

        envbox lock --check
    """
    if check:
        api.load().read_lock()
        typer.echo("envbox.lock agrees with envbox.toml.")
        return
    with reporter() as watcher:
        project = api.load(reporter=watcher)
        rootfs = project.lock(record=record)
    typer.echo(told(project, rootfs))


def told(project: api.Project, rootfs: Rootfs) -> str:
    """What was locked, for people."""
    packages = sum(len(group.artifacts) for group in rootfs.lock.groups)
    libraries = sum(len(languages.artifacts) for languages in rootfs.lock.libraries)
    words = counted(packages, "package", "packages")
    if libraries:
        words += f" and {counted(libraries, 'library', 'libraries')}"
    return f"Wrote {project.lock_path}: {words}, {counted(len(rootfs.digests), 'layer', 'layers')}."
