"""The native back end: enters a root file system by namespaces of our own, nothing installed on the host.

Part of the warm path of `envbox run`: imports only what a plain session needs, and nothing slow.
Three processes share the terminal: the caller, process 1 of the sandbox (`init`), and the command.
"""

from __future__ import annotations

import errno
import os

from envbox.sandbox import init
from envbox.sandbox.failure import LaunchError, Stage
from envbox.sandbox.signals import (
    CHILD,
    CONTINUE,
    FORWARDED,
    FROM_KERNEL,
    FROM_TERMINAL,
    INPUT_READY,
    RELAYED,
    WAITED,
    block,
    default_child_signal,
    forget_input,
    signals,
)
from envbox.sandbox.syscalls import NEWPID, NEWUSER, signal_when_ready, unshare
from envbox.sandbox.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LaunchError", "launch"]


def launch(spec: dict[str, Any]) -> int:
    """Runs the command of a parsed `SandboxSpec` and returns its exit status (128 + n if signal n ended it).

    The caller must have one thread, and can launch once: it is inside the new user namespace afterwards. It
    stays in the host's mount namespace. Raises LaunchError, before the command has started, if a step fails.
    """
    init.check(spec)
    _fill_standard_descriptors()
    before = block()
    handler = default_child_signal()
    try:
        _enter_user_namespace(spec["uid"], spec["gid"])
        return _run(spec, before)
    finally:
        signals.signal(CHILD, handler)
        signals.pthread_sigmask(signals.SIG_SETMASK, before)


def _fill_standard_descriptors() -> None:
    """A closed 0, 1 or 2 would be given to the next file opened, which is none of the command's business."""
    while True:
        descriptor = os.open("/dev/null", os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)


def _enter_user_namespace(uid: int, gid: int) -> None:
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    with Stage("user namespace"):
        unshare(NEWUSER | NEWPID)
    with Stage("user namespace mapping"):
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {outside_uid} 1")
        _write("/proc/self/gid_map", f"{gid} {outside_gid} 1")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _run(spec: dict[str, Any], mask: set[int]) -> int:
    news, channel = os.pipe()
    # The kernel sends SIGIO for whatever init writes: signals are then all there is to wait for.
    signal_when_ready(news)
    terminal = Terminal()
    with Stage("process namespace"):
        child = os.fork()
    if child == 0:
        os.close(news)
        init.main(spec, channel, mask)
    os.close(channel)
    try:
        status, failure = _attend(child, news, terminal)
    except BaseException:
        os.kill(child, signals.SIGKILL)  # nothing inside outlives the one who waits for it
        os.waitpid(child, 0)
        raise
    finally:
        os.close(news)
        forget_input()
    if failure:
        raise LaunchError.decode(failure)
    terminal.take_back(after_signal=status >= 128)
    return status


def _attend(child: int, news: int, terminal: Terminal) -> tuple[int, bytes]:
    """Passes signals on and follows stops until init ends; its status, and the failure it reported."""
    failure = b""
    while True:
        event = signals.sigwaitinfo(WAITED)
        number = event.si_signo
        if number in {CHILD, INPUT_READY}:
            failure, stopped = _read_news(news, failure)
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                failure, _ = _read_news(news, failure)
                code = os.waitstatus_to_exitcode(status)
                return (code if code >= 0 else 128 - code), failure
            if stopped:
                terminal.stop_with_command()
        elif number in FORWARDED and not (number in FROM_TERMINAL and event.si_code == FROM_KERNEL):
            if number == CONTINUE:
                terminal.hand_over_again()
            os.kill(child, RELAYED + number)


def _read_news(news: int, failure: bytes) -> tuple[bytes, bool]:
    """What init wrote since: a report of its failure, or that the command has been stopped."""
    data = b""
    try:
        while chunk := os.read(news, 65536):
            data += chunk
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
    if failure:
        return failure + data, False
    start = data.find(init.FAILED)
    if start >= 0:
        return data[start + 1 :], False
    return b"", init.STOPPED in data
