"""The one place that tells a person of an error."""

from __future__ import annotations

import os
import sys
import traceback

from envbox.errors import EnvboxError

_RED, _DIM, _PLAIN = "\033[1;31m", "\033[2m", "\033[0m"


def tell(error: EnvboxError) -> int:
    """Write the error to standard error; returns the exit status."""
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    red, dim, plain = (_RED, _DIM, _PLAIN) if colour else ("", "", "")
    lines = [f"{red}error{plain}: {error.message} {dim}[{error.code}]{plain}"]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    _write("\n".join(lines))
    return error.exit_status


def tell_bug(error: BaseException) -> int:
    """Write a bug of ours with its traceback; returns 70."""
    _write("".join(traceback.format_exception(error)))
    _write("error: this is a bug in envbox, please report it with the lines above [EB-BUG]")
    return EnvboxError.exit_status


def _write(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the error boundary
