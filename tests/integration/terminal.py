"""A terminal with a program in it, for what only a terminal can show."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 30.0
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")


class Terminal:
    """The person's side of a terminal."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._descriptor = descriptor
        self._seen = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._descriptor, text.encode())

    def line(self, text: str) -> None:
        """Type a line."""
        self.type(text + "\n")

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until `pattern` is on the screen, after what was expected before."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            found = re.search(pattern, self._seen, re.MULTILINE)
            if found:
                self._seen = self._seen[found.end() :]
                return found
            ready, _, _ = select.select([self._descriptor], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"no {pattern!r} on the screen, but {self._seen!r}"
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:
                data = b""
            assert data, f"the terminal was closed before {pattern!r}; on it was {self._seen!r}"
            self._seen += _CONTROLS.sub("", data.decode("utf-8", "replace"))

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self) -> int:
        """The program's exit status; what it still writes is thrown away."""
        with contextlib.suppress(OSError):
            while select.select([self._descriptor], [], [], _PATIENCE)[0] and os.read(self._descriptor, 65536):
                pass
        return self.process.wait(_PATIENCE)


@contextlib.contextmanager
def terminal(argv: list[str], **options: Any) -> Iterator[Terminal]:
    """Run `argv` as the leader of a session with a terminal of its own, which is hung up at the end."""
    ours, theirs = os.openpty()
    options["env"] = {**options["env"], "TERM": "xterm"}
    # The terminal is the person's, as a login makes it.
    if "user" in options:
        os.fchmod(theirs, 0o666)
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *argv], stdin=theirs, stdout=theirs, stderr=theirs, **options
    )
    os.close(theirs)
    try:
        shown = Terminal(ours, process)
        shown.resize(24, 80)
        yield shown
    finally:
        os.close(ours)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
