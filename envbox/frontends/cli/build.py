"""`envbox build`: have what the lock says."""

from __future__ import annotations

import typer

from envbox import api
from envbox.frontends.cli import NOTHING_TO_DO
from envbox.frontends.cli.progress import reporter


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("build")(build)


def build() -> None:
    """Have the layers of envbox.lock in the store, byte for byte. A missing lock is made first.

    Examples:

        envbox build
    """
    with reporter() as watcher:
        rootfs = api.load(reporter=watcher).build()
    if rootfs.built:
        typer.echo(f"Built {len(rootfs.built)} of {len(rootfs.digests)} layers.")
    else:
        typer.echo(NOTHING_TO_DO)
