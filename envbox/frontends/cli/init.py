"""`envbox init`: write a first envbox.toml."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from envbox import spec as specs
from envbox.errors import SpecInvalid
from envbox.session import SPEC_NAME


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("init")(init)


def init(
    folder: Annotated[str, typer.Argument(help="The project's folder, made if it is not there.")] = ".",
    base: Annotated[str, typer.Option("--base", "-b", help="The base, such as debian:12.")] = "debian:13",
) -> None:
    """Write an envbox.toml to start from.

    Examples:

        envbox init

        envbox init climate --base debian:12
    """
    path = os.path.join(folder, SPEC_NAME)
    if os.path.exists(path):
        raise SpecInvalid(f"{path} is there already", hint="edit it, or choose another folder")
    name = specs.valid_name(os.path.basename(os.path.abspath(folder)))
    text = specs.template(name, base)
    try:
        specs.parse(text, file=SPEC_NAME, folder=os.path.abspath(folder), read=_nothing)
    except SpecInvalid as error:
        raise SpecInvalid(error.message, hint="choose another --base, such as debian:13") from error
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SpecInvalid(
            f"{path} cannot be written: {error.strerror}", hint="choose a folder that you may write to"
        ) from error
    typer.echo(f"Wrote {path}. Edit it, then run `envbox shell`.")


def _nothing(path: str) -> str:
    raise FileNotFoundError(path)
