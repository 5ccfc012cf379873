"""The terminal that the caller shares with the command: who is in the foreground, and in what modes."""

from __future__ import annotations

import os

from envbox.sandbox.signals import signals
from envbox.sandbox.syscalls import set_terminal_modes, terminal_modes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbox.sandbox.libc import Buffer


class Terminal:
    """The controlling terminal, if a standard descriptor is it and the caller is in the foreground."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._handed_to = 0
        for descriptor in (0, 1, 2):
            if _foreground(descriptor) == os.getpgrp():
                self._descriptor = descriptor
                self._modes = terminal_modes(descriptor)
                return

    def stop_with_command(self) -> None:
        """Stops the caller too, so that the shell around it gets its prompt; returns when continued."""
        if self._descriptor >= 0:
            self._handed_to = _foreground(self._descriptor)
        os.kill(os.getpid(), signals.SIGSTOP)

    def hand_over_again(self) -> None:
        """Before the command continues in the foreground: back to the process group that had the terminal."""
        group, self._handed_to = self._handed_to, 0
        if group in {0, os.getpgrp()} or _foreground(self._descriptor) != os.getpgrp():
            return
        _give(self._descriptor, group)

    def take_back(self, *, after_signal: bool) -> None:
        """Makes the caller's group the foreground one; a command ended by a signal left its modes."""
        if self._descriptor < 0:
            return
        _give(self._descriptor, os.getpgrp())
        if after_signal:
            _restore(self._descriptor, self._modes)


def _foreground(descriptor: int) -> int:
    try:
        return os.tcgetpgrp(descriptor)
    except OSError:
        return 0


def _give(descriptor: int, group: int) -> None:
    """Needs SIGTTOU blocked, or it stops a caller that is in the background."""
    try:
        os.tcsetpgrp(descriptor, group)
    except OSError:
        return  # the group or the terminal is gone


def _restore(descriptor: int, modes: Buffer) -> None:
    try:
        set_terminal_modes(descriptor, modes)
    except OSError:
        return  # hung up meanwhile
