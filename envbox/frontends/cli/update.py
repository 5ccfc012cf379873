"""`envbox update`: choose everything afresh."""

from __future__ import annotations

import typer

from envbox import api
from envbox.frontends.cli.lock import told
from envbox.frontends.cli.progress import reporter


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("update")(update)


def update() -> None:
    """Solve envbox.toml against the archive and the indexes as they are now, in one group, and build.

    Examples:

        envbox update
    """
    with reporter() as watcher:
        project = api.load(reporter=watcher)
        rootfs = project.update()
    typer.echo(told(project, rootfs))
