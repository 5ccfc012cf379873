"""`envbox verify`: read again what the store has."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from envbox import api
from envbox.frontends.cli import counted, sized
from envbox.frontends.cli.progress import reporter

_NOT_BUILT = 1


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify")(verify)


def verify(
    everything: Annotated[bool, typer.Option("--all", help="All that is in the store, whosever it is.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Remove what is damaged, for a build to make anew.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """Read every file of the environment again, and compare it with the lock: content, mode, time, owner, links.

    Exit status 3 if anything differs, 1 if not all is built.

    Examples:

        envbox verify

        envbox verify --repair

        envbox verify --all --json
    """
    with reporter() as watcher:
        if everything:
            found = api.verify_store(repair=repair, reporter=watcher)
        else:
            found = api.load(reporter=watcher).verify(repair=repair)
    if as_json:
        typer.echo(json.dumps(_facts(found), indent=2))
    if found.damages and not repair:
        raise api.damaged(found)
    if not as_json:
        typer.echo(_text(found))
    return _NOT_BUILT if found.missing else 0


def _facts(found: api.Verification) -> dict[str, object]:
    read = found.verified
    return {
        "store": found.store,
        "layers": read.layers,
        "package_trees": read.trees,
        "artifacts": read.blobs,
        "files": read.files,
        "bytes": read.bytes,
        "missing": list(found.missing),
        "damaged": [
            {"kind": damage.kind, "name": damage.name, "paths": [list(difference) for difference in damage.differences]}
            for damage in found.damages
        ],
        "removed": [f"{item.folder}/{item.name}" for item in found.removed.items] if found.removed else [],
    }


def _text(found: api.Verification) -> str:
    read = found.verified
    lines = []
    if found.removed:
        damaged = counted(
            len(found.damages), "damaged layer, package or artifact", "damaged layers, packages, artifacts"
        )
        lines.append(f"Removed {damaged}. Run `envbox build` to make anew what you need.")
    else:
        parts = [counted(read.layers, "layer", "layers"), counted(read.trees, "package tree", "package trees")]
        parts += [counted(read.blobs, "artifact", "artifacts")] if read.blobs else []
        lines.append(f"Verified {', '.join(parts)}: {counted(read.files, 'file', 'files')}, {sized(read.bytes)}.")
    lines += [f"Not built: {title}. Run `envbox build`." for title in found.missing]
    return "\n".join(lines)
