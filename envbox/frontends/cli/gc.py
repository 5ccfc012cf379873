"""`envbox gc`: remove what nobody needs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated

import typer

from envbox import api
from envbox.frontends.cli import counted, sized
from envbox.frontends.cli.progress import reporter

NAMES = {
    "environments-v1": ("environment", "environments"),
    "layers-v1": ("layer", "layers"),
    "packages-v1": ("package tree", "package trees"),
    "blobs/sha256": ("artifact", "artifacts"),
    "lists-v1": ("set of package lists", "sets of package lists"),
    "homes": ("home folder", "home folders"),
    "logs": ("log", "logs"),
}
"""What is in the store's folders, for people; roots are not worth telling."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("gc")(gc)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    days: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", min=0, help="Keep what was made in these last days.")
    ] = 0,
    homes: Annotated[
        bool,
        typer.Option("--homes", help="Also remove home folders, with all files in them, of projects that are gone."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Remove from the store what no project, pin or running session needs.

    A project needs what its envbox.lock names, so that it can be entered, and built without the network.

    Examples:

        envbox gc

        envbox gc --dry-run --older-than 30
    """
    with reporter() as watcher:
        removed = api.collect(dry_run=dry_run, days=days, homes=homes, reporter=watcher)
    if as_json:
        names = [f"{item.folder}/{item.name}" for item in removed.items]
        typer.echo(json.dumps({"dry_run": dry_run, "bytes": removed.disk, "removed": names}, indent=2))
    else:
        typer.echo(f"{'Would free' if dry_run else 'Freed'} {told(removed)}.")


def told(removed: api.Removed) -> str:
    """How much, and of what."""
    numbers = Counter(item.folder for item in removed.items)
    parts = [counted(numbers[folder], *names) for folder, names in NAMES.items() if numbers[folder]]
    return f"{sized(removed.disk)}: {', '.join(parts) or 'nothing is left over'}"
