"""Process 1 of the sandbox: sets up, starts the command, reaps, passes signals on, and ends with it."""

from __future__ import annotations

import errno
import os
from time import monotonic

from envbox.sandbox import mounts, payload, seccomp, syscalls
from envbox.sandbox.failure import LaunchError, Stage
from envbox.sandbox.signals import CHILD, CONTINUE, FORWARDED, RELAYED, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from envbox.sandbox.ownership import Supervisor

READY, FAILED, STOPPED = b"r", b"E", b"s"
# Not CAP_SYS_ADMIN: with it what is mounted read-only could be made writable, and what is covered laid bare.
_OF_ROOT = (1 << 64) - 1 - (1 << 21)
_SAME_EVENT = 0.5  # seconds in which a signal to the whole group and its relayed copy arrive


def check(spec: dict[str, Any]) -> None:
    """Refuses what no kernel needs to be asked about."""
    if not spec["argv"]:
        raise LaunchError("command", errno.EINVAL, "no command")
    if spec["network"] not in ("host", "none"):
        raise LaunchError("network", errno.EINVAL, spec["network"])
    if spec["fake_root"] and spec["uid"] != 0:
        raise LaunchError("fake root", errno.EINVAL, "only uid 0 inside can be a fake root")
    if bool(spec["upper"]) != bool(spec["work"]):
        raise LaunchError("overlay", errno.EINVAL, "upper and work go together")


def main(spec: dict[str, Any], channel: int, mask: set[int]) -> NoReturn:
    """Never returns: exits with the command's status, or 125 after reporting a failure on `channel`."""
    try:
        os._exit(_live(spec, channel, mask))
    except LaunchError as error:
        failure = error
    except BaseException as error:  # noqa: BLE001 - nothing may run past the fork; the caller raises it
        failure = LaunchError("internal", 0, repr(error))
    os.write(channel, FAILED + failure.encode())
    os._exit(125)


def _live(spec: dict[str, Any], channel: int, mask: set[int]) -> int:
    _die_with_caller(channel)
    signals.pthread_sigmask(signals.SIG_BLOCK, signals.valid_signals())
    syscalls.close_descriptors((channel,))
    _forget_caller()
    os.umask(0o022)
    _unshare(spec)
    supervisor = _supervisor(spec)
    writable = mounts.open_writable(spec)
    _assemble(spec, writable)
    _enter(spec)
    _give_up_privileges(spec)
    syscalls.close_descriptors(
        (
            channel,
            *(writable[1:] if writable else ()),
            *(supervisor.descriptors() if supervisor else ()),
        )
    )
    with Stage("command"):
        child = os.fork()
    if child == 0:
        payload.run(spec, mask, supervisor)
    if supervisor:
        supervisor.accept()
    status = _attend(child, channel, supervisor)
    if supervisor:
        _end_everything()
        supervisor.write_owners()
    return status


def _die_with_caller(channel: int) -> None:
    syscalls.die_with_parent()
    try:
        os.write(channel, READY)  # nobody reads: the caller ended before the line above
    except OSError:
        os._exit(125)


def _forget_caller() -> None:
    """Overwrites the caller's arguments and environment, which /proc/1 would show inside."""
    with Stage("process name"):
        syscalls.rename_process(b"envbox")
        syscalls.hide_from_tracers()


def _unshare(spec: dict[str, Any]) -> None:
    flags = syscalls.NEWNS | syscalls.NEWIPC | syscalls.NEWUTS
    if spec["network"] == "none":
        flags |= syscalls.NEWNET
    with Stage("namespaces"):
        try:
            syscalls.unshare(flags | syscalls.NEWCGROUP)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a kernel without control groups has nothing to hide
                raise
            syscalls.unshare(flags)
    with Stage("private mounts"):
        syscalls.mount(None, b"/", None, syscalls.MS_RECURSIVE | syscalls.MS_PRIVATE, None)


def _supervisor(spec: dict[str, Any]) -> Supervisor | None:
    if not spec["fake_root"]:
        return None
    from envbox.sandbox.ownership import Supervisor

    with Stage("fake root", spec["owners"]):
        return Supervisor(spec["owners"], spec["upper"])


def _assemble(spec: dict[str, Any], writable: tuple[int, int] | None) -> None:
    sources = mounts.open_sources(spec)
    root = mounts.mount_root(spec, writable)
    mounts.mount_all(root, spec, sources)
    with Stage("hostname", spec["hostname"]):
        syscalls.set_hostname(spec["hostname"])
    if spec["network"] == "none":
        with Stage("loopback"):
            syscalls.bring_up_loopback()
    with Stage("pivot"):
        syscalls.change_root(root)


def _enter(spec: dict[str, Any]) -> None:
    with Stage("directory", spec["directory"]):
        os.chdir(spec["directory"])
        if not os.getcwd().startswith("/"):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def _give_up_privileges(spec: dict[str, Any]) -> None:
    with Stage("privileges"):
        syscalls.new_session_keyring()
        syscalls.forbid_new_privileges()
        syscalls.keep_capabilities(_OF_ROOT if spec["uid"] == 0 else 0)
    with Stage("seccomp"):
        seccomp.protect_terminal()


def _attend(child: int, channel: int, supervisor: Supervisor | None) -> int:
    """Reaps and passes signals on until the command ends; its exit status."""
    everything = signals.valid_signals()
    direct: dict[int, float] = {}
    while True:
        if supervisor:
            supervisor.answer_until_signal()
        number = signals.sigwaitinfo(everything).si_signo
        if number == CHILD:
            status = _reap(child, channel)
            if status is not None:
                return status
        elif number - RELAYED in FORWARDED:
            _relay(child, number - RELAYED, direct)
        elif number in FORWARDED:
            direct[number] = monotonic()


def _reap(child: int, channel: int) -> int | None:
    while True:
        try:
            done, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return None
        if not done:
            return None
        if done != child:
            continue
        if os.WIFSTOPPED(status):
            os.write(channel, STOPPED)
            continue
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


def _relay(child: int, number: int, direct: dict[int, float]) -> None:
    """Passes a signal on, unless it went to a whole process group with the command and this process in it."""
    try:
        group = os.getpgid(child)
        own = group == os.getpgrp()
        if own and direct.pop(number, 0.0) > monotonic() - _SAME_EVENT:
            return
        if number == CONTINUE and not own:
            os.killpg(group, number)
        else:
            os.kill(child, number)
    except ProcessLookupError:
        return  # it ended; SIGCHLD follows


def _end_everything() -> None:
    """Nothing may change the root any more once its owners are written down."""
    try:
        os.kill(-1, signals.SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        return
