"""`envbox run`: one command in the environment."""

from __future__ import annotations

from typing import Annotated

import typer

from envbox.errors import CommandNotStarted
from envbox.frontends.cli.entering import build_and_enter


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(run)


def run(
    command: Annotated[list[str] | None, typer.Argument(help="The command and its arguments.")] = None,
    root: Annotated[bool, typer.Option("--root", help="Be uid 0 inside.")] = False,
) -> int:
    """Run a command in the environment; its exit status is ours. Builds first if need be.

    Examples:

        envbox run -- python3 fit.py --steps 100

        envbox run --root -- apt-get check
    """
    if not command:
        raise CommandNotStarted("no command was given", hint="for example: envbox run -- python3 --version")
    return build_and_enter(lambda _session: command, root=root)
