"""The command line: one file a verb, one error boundary."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from envbox import __version__
from envbox.errors import EnvboxError
from envbox.frontends.cli import add, build, cache, diff, gc, init, lock, shell, status, update, verify
from envbox.frontends.cli import run as run_verb
from envbox.frontends.cli.failure import tell, tell_bug, tell_unwritable

_INTERRUPTED = 130
_OUTPUT_FAULTS = {errno.EPIPE, errno.ENOSPC, errno.EIO}  # of standard output: those of files come as errors of ours


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"envbox {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="envbox",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One TOML file of base, packages and libraries becomes the same root file system on every Linux host.",
)


@app.callback()
def envbox(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What every verb has in common."""


init.register(app)
lock.register(app)
add.register(app)
update.register(app)
build.register(app)
shell.register(app)
run_verb.register(app)
status.register(app)
verify.register(app)
diff.register(app)
cache.register(app)
gc.register(app)


def run() -> int:
    """Run the command line; returns the exit status. No error of ours leaves as a traceback."""
    try:
        result = app(standalone_mode=False)
    except EnvboxError as error:
        return tell(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary
        return _other(error)
    return result if isinstance(result, int) else 0


def _other(error: Exception) -> int:
    # click's exceptions by what they can do: typer brings click along under a name of its own.
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, typer.Abort):
        return _INTERRUPTED
    if isinstance(error, OSError) and error.filename is None and error.errno in _OUTPUT_FAULTS:
        return tell_unwritable(error)
    show, status = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show) and isinstance(status, int):
        show()
        return status
    return tell_bug(error)


if __name__ == "__main__":
    sys.exit(run())
