"""`envbox diff`: where two locks or layers differ."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from envbox import api
from envbox.frontends.cli import counted
from envbox.values import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbox.values import Digest

_MOST = 20  # files of a layer that are listed


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("diff")(diff)


def diff(
    before: Annotated[str, typer.Argument(help="A lock, a git revision, or a layer's digest. Default: HEAD.")] = "",
    after: Annotated[str, typer.Argument(help="The same. Default: the project's envbox.lock as it is.")] = "",
    files: Annotated[bool, typer.Option("--files", help=f"List all files, not the first {_MOST} of a layer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: everything.")] = False,
) -> None:
    """Tell where two locks or two layers differ: base, packages, libraries, then files of layers that are here.

    Examples:

        envbox diff

        envbox diff HEAD~1

        envbox diff ../colleague/envbox.lock envbox.lock --files

        envbox diff 3f1c2a90d1e4 77b0c3d5e6f8
    """
    found = api.diff(before, after)
    typer.echo(json.dumps(_facts(found), indent=2) if as_json else "\n".join(_lines(found, None if files else _MOST)))


def _facts(found: api.Diff) -> dict[str, object]:
    layers = [
        {**asdict(layer), "before": _digest(layer.before), "after": _digest(layer.after)} for layer in found.layers
    ]
    sections = {section.title: [asdict(change) for change in section.changes] for section in found.sections}
    return {"before": found.before, "after": found.after, "sections": sections, "layers": layers}


def _digest(digest: Digest | None) -> str | None:
    return str(digest) if digest else None


def _lines(found: api.Diff, most: int | None) -> Iterator[str]:
    if found.is_empty:
        yield f"{found.before} and {found.after} are the same."
    for section in found.sections:
        yield f"{section.title}: {counted(len(section.changes), 'change', 'changes')}"
        yield from (f"  {_change(change)}" for change in section.changes)
    for layer in found.layers:
        yield from _layer_lines(layer, most)


def _change(change: api.Change) -> str:
    if not change.before:
        return f"+ {change.name} {change.after}"
    if not change.after:
        return f"- {change.name} {change.before}"
    direction = f" ({change.direction})" if change.direction else ""
    return f"~ {change.name} {change.before} -> {change.after}{direction}"


def _layer_lines(layer: api.LayerDiff, most: int | None) -> Iterator[str]:
    digests = " -> ".join(digest.short if digest else "none" for digest in (layer.before, layer.after))
    if layer.files is None:
        reason = "" if not (layer.before and layer.after) else ", not both in the store"
        yield f"{layer.title}: {digests}{reason}"
        return
    yield f"{layer.title}: {digests}, {counted(len(layer.files), 'path', 'paths')}"
    for file in layer.files[:most]:
        yield visible(f"  /{file.path}: {file.what}{f' [{file.package}]' if file.package else ''}")
    if most is not None and len(layer.files) > most:
        yield f"  and {len(layer.files) - most} more (`--files` lists all)"
