"""`envbox cache`: what the store holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from envbox import api
from envbox.frontends.cli import counted, sized
from envbox.frontends.cli.gc import told


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("cache")(cache)


def cache(as_json: Annotated[bool, typer.Option("--json", help="For programs, in bytes.")] = False) -> None:
    """Tell what is in the store, how much of it is shared, whose it is, and what `envbox gc` would free.

    Examples:

        envbox cache

        envbox cache --json
    """
    found = api.contents()
    typer.echo(json.dumps(_facts(found), indent=2) if as_json else _text(found))


def _facts(found: api.Contents) -> dict[str, object]:
    facts = asdict(found)
    removable = [f"{item.folder}/{item.name}" for item in found.removable.items]
    return {**facts, "removable": {"bytes": found.removable.disk, "items": removable}}


def _text(found: api.Contents) -> str:
    lines = [f"{found.store}: {sized(found.disk)} on disk", "", f"{'':16}{'number':>8}{'on disk':>12}{'alone':>12}"]
    for category in found.categories:
        number = str(category.number) if category.number else ""
        lines.append(f"{category.name:16}{number:>8}{sized(category.disk):>12}{sized(category.alone):>12}")
    lines += [
        "",
        "`on disk` counts each file once, at the first line that has it; `alone` as if there were no other lines.",
    ]
    if found.usages:
        lines += ["", f"{'layers':>8}{'size':>12}{'its own':>12}  used by"]
    for usage in found.usages:
        state = "" if usage.state == "here" else f" ({usage.state})"
        lines.append(f"{usage.layers:>8}{sized(usage.disk):>12}{sized(usage.exclusive):>12}  {usage.path}{state}")
    if found.apart > found.shared:
        users = counted(sum(1 for usage in found.usages if usage.layers), "environment", "environments")
        lines += ["", f"{users}: {sized(found.shared)} on disk, {sized(found.apart)} without sharing."]
    return "\n".join([*lines, "", f"`envbox gc` would free {told(found.removable)}."])
