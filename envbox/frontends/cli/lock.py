"""`envbox lock`: solve afresh and record everything."""

from __future__ import annotations

import typer

from envbox import api
from envbox.frontends.cli.progress import reporter


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("lock")(lock)


def lock() -> None:
    """Solve envbox.toml against the archive as it is now, build, and write envbox.lock.

    Examples:

        envbox lock
    """
    with reporter() as watcher:
        project = api.load(reporter=watcher)
        rootfs = project.lock()
    packages = sum(len(group.artifacts) for group in rootfs.lock.groups)
    libraries = sum(len(languages.artifacts) for languages in rootfs.lock.libraries)
    words = f"{packages} packages" + (f" and {libraries} libraries" if libraries else "")
    typer.echo(f"Wrote {project.lock_path}: {words}, {len(rootfs.digests)} layers.")
