"""`envbox status`: where the project stands."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from envbox import api
from envbox.frontends.cli import counted


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("status")(status)


def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Tell what is locked and built, without doing anything.

    Examples:

        envbox status

        envbox status --json
    """
    found = api.load().status()
    typer.echo(json.dumps(_facts(found), indent=2) if as_json else _text(found))


def _facts(found: api.Status) -> dict[str, object]:
    steps = found.plan.steps if found.plan else ()
    return {
        "project": found.project,
        "name": found.spec.name,
        "base": str(found.spec.base),
        "locked": found.lock is not None,
        "mismatches": list(found.mismatches),
        "built": found.is_built,
        "store": found.store,
        "layers": [
            {
                "title": step.title,
                "digest": str(step.recorded) if step.recorded else None,
                "present": step.is_kept,
            }
            for step in steps
        ],
    }


def _text(found: api.Status) -> str:
    lines = [f"{found.spec.name}  {found.spec.base}  in {found.project}"]
    if found.lock is None:
        return "\n".join([*lines, "lock:   none yet (run `envbox lock`)"])
    packages = sum(len(group.artifacts) for group in found.lock.groups)
    libraries = sum(len(languages.artifacts) for languages in found.lock.libraries)
    state = "out of date (run `envbox lock`)" if found.mismatches else "up to date"
    sizes = [counted(packages, "package", "packages"), counted(libraries, "library", "libraries")]
    lines.append(f"lock:   {state}, {', '.join(sizes)}")
    lines += [f"        {mismatch}" for mismatch in found.mismatches]
    for step in found.plan.steps if found.plan else ():
        digest = step.recorded.short if step.recorded else "not recorded"
        lines.append(f"layer:  {digest:12}  {'here   ' if step.is_kept else 'missing'}  {step.title}")
    lines.append(f"store:  {found.store}")
    return "\n".join(lines)
