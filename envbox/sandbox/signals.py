"""Signal numbers and masks, from the C module beneath `signal`: that one costs 4 ms for its enums."""

from __future__ import annotations

__all__ = [
    "CHILD",
    "CONTINUE",
    "FORWARDED",
    "FROM_KERNEL",
    "FROM_TERMINAL",
    "INPUT_READY",
    "RELAYED",
    "WAITED",
    "block",
    "default_child_signal",
    "forget_input",
    "signals",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from typing import Any
else:
    import _signal as signals

CHILD, CONTINUE, TERMINAL_STOP, INPUT_READY = (
    signals.SIGCHLD,
    signals.SIGCONT,
    signals.SIGTSTP,
    signals.SIGIO,
)
# What a terminal sends to its foreground group, which the command is in, or else has left on purpose.
FROM_TERMINAL = frozenset((signals.SIGINT, signals.SIGQUIT, TERMINAL_STOP, signals.SIGWINCH))
FORWARDED = FROM_TERMINAL | {
    signals.SIGHUP,
    signals.SIGTERM,
    signals.SIGUSR1,
    signals.SIGUSR2,
    signals.SIGALRM,
    CONTINUE,
}
WAITED = FORWARDED | {CHILD, INPUT_READY}
# Signal n reaches init as RELAYED + n, a real-time one: it queues, and is told apart from what others send.
RELAYED = 34
FROM_KERNEL = 0x80  # siginfo's si_code of what nobody sent by kill(2)


def block() -> set[int]:
    """Blocks what launch() waits for, and what would stop it for using the terminal; the mask before."""
    relayed = {RELAYED + number for number in FORWARDED}  # for init, which inherits the mask
    return set(signals.pthread_sigmask(signals.SIG_BLOCK, WAITED | relayed | {signals.SIGTTOU, signals.SIGTTIN}))


def default_child_signal() -> Any:
    """Makes children be waited for even if the caller's own parent ignored them; the handler before."""
    return signals.signal(CHILD, signals.SIG_DFL)


def forget_input() -> None:
    """Drops an INPUT_READY that came too late to be waited for: unblocked, it would end the caller."""
    signals.sigtimedwait({INPUT_READY}, 0)
