"""`envbox shell`: a shell in the environment."""

from __future__ import annotations

from typing import Annotated

import typer

from envbox.frontends.cli.entering import build_and_enter
from envbox.session import Session


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("shell")(shell)


def shell(root: Annotated[bool, typer.Option("--root", help="Be uid 0 inside.")] = False) -> int:
    """Enter the environment as a shell. Builds first if need be.

    Examples:

        envbox shell

        envbox shell --root
    """
    return build_and_enter(Session.shell, root=root)
