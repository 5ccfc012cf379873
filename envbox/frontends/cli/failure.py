"""The one place that tells a person of an error."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from envbox.errors import EnvboxError, HostError

_BROKEN_PIPE = 141  # as a shell tells of SIGPIPE
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


def tell_unwritable(error: OSError) -> int:
    """Standard output cannot be written. Nobody who closed a pipe wants to hear of it; returns the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is buffered still would fail at exit
    if error.errno == errno.EPIPE:
        return _BROKEN_PIPE
    _write(f"error: the output cannot be written: {error.strerror}")
    return HostError.exit_status


def tell_of_store(error: OSError) -> int:
    """Write what it means that entering failed at a file of the store; returns the exit status."""
    from envbox.store.location import default_root
    from envbox.store.store import explaining

    try:
        with explaining(default_root()):
            raise error
    except EnvboxError as explained:
        return tell(explained)
    except OSError as other:
        return tell_bug(other)


def tell_bug(error: BaseException) -> int:
    """Write a bug of ours with its traceback; returns 70."""
    _write("".join(traceback.format_exception(error)))
    _write("error: this is a bug in envbox, please report it with the lines above [EB-BUG]")
    return EnvboxError.exit_status


def _write(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the error boundary
