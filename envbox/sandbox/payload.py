"""The command's own process, from the fork to the exec."""

from __future__ import annotations

import errno
import os

from envbox.sandbox.failure import LaunchError
from envbox.sandbox.signals import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from envbox.sandbox.ownership import Supervisor

NOT_EXECUTABLE, NOT_FOUND = 126, 127
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(spec: dict[str, Any], mask: set[int], supervisor: Supervisor | None) -> NoReturn:
    """Becomes the command; exits 126 or 127 after one line on stderr if that is impossible."""
    for number in (signals.SIGPIPE, signals.SIGXFSZ):  # Python ignores these, and exec would hand that on
        signals.signal(number, signals.SIG_DFL)
    signals.signal(signals.SIGINT, signals.SIG_DFL)
    os.umask(spec["umask"])
    if supervisor:
        supervisor.enlist()
    signals.pthread_sigmask(signals.SIG_SETMASK, mask)
    environment = dict(spec["environment"])
    argv = spec["argv"]
    try:
        status, reason = _execute(argv, environment)
    except ValueError as error:
        raise LaunchError("command", errno.EINVAL, str(error)) from error
    os.write(2, os.fsencode(f"envbox: {argv[0]}: {reason}\n"))
    os._exit(status)


def _execute(argv: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Tries every place the command can be in; returns only with the status and reason of a failure."""
    name = argv[0]
    if "/" in name:
        places = [name]
    elif name:
        folders = environment.get("PATH", _DEFAULT_PATH).split(":")
        places = [f"{folder}/{name}" if folder else name for folder in folders]
    else:
        places = []
    failure = NOT_FOUND, "command not found"
    for place in places:
        try:
            os.execve(place, argv, environment)  # noqa: S606 - what this is for
        except OSError as error:
            number = error.errno
        if number == errno.ENOEXEC:
            return _execute_as_script(place, argv, environment)
        if number == errno.ENOENT and os.path.exists(place):
            return NOT_EXECUTABLE, "its interpreter is not there"
        if number not in (errno.ENOENT, errno.ENOTDIR):
            failure = NOT_EXECUTABLE, os.strerror(number or 0)
    return failure


def _execute_as_script(place: str, argv: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """A file without a first line that names its interpreter is the shell's, as execvp(3) has it."""
    try:
        os.execve("/bin/sh", ["/bin/sh", place, *argv[1:]], environment)  # noqa: S606
    except OSError as error:
        return NOT_EXECUTABLE, os.strerror(error.errno or 0)
