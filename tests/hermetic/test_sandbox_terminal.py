"""At a terminal a sandboxed command behaves as a plain one: ^C, ^Z, job control, size, modes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import sandbox
from tests.support.sandbox import STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbox.sandbox.spec import SandboxSpec
    from tests.support.sandbox import Kit

pytestmark = pytest.mark.hermetic


@pytest.fixture(scope="module")
def kit() -> Iterator[Kit]:
    with sandbox.kit(plain=False) as made:
        yield made


class Screen:
    """An interactive shell of the host at a terminal of its own, and someone who types."""

    def __init__(self, argv: list[str]) -> None:
        self.descriptor, terminal = pty.openpty()
        self.seen = ""
        environment = {"PATH": os.environ["PATH"], "PS1": "outer> ", "TERM": "dumb", "HISTFILE": ""}
        self.process = subprocess.Popen(
            argv, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, env=environment,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
        )  # fmt: skip
        os.close(terminal)

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def wait_for(self, pattern: str, seconds: float = 15.0) -> re.Match[str]:
        """Reads until a pattern appears, and forgets everything up to its end."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            ready = select.select([self.descriptor], [], [], max(0.0, left))[0]
            assert ready, f"no {pattern!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.descriptor, 65536).decode(errors="replace").replace("\r\n", "\n")
            except OSError:
                raise AssertionError(f"hung up without {pattern!r} in {self.seen!r}") from None
        self.seen = self.seen[match.end() :]
        return match

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.descriptor)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        os.close(self.descriptor)


@pytest.fixture
def screen() -> Iterator[Screen]:
    made = Screen(["bash", "--norc", "--noprofile", "--noediting", "-i"])
    made.wait_for("outer> ")
    yield made
    made.close()


def line(kit: Kit, spec: SandboxSpec) -> str:
    """What one types to launch a spec."""
    return shlex.join(kit.command(spec)[0][:-1]) + "\n"  # its parent is the shell that it is typed to


def inner(kit: Kit) -> SandboxSpec:
    """An interactive shell inside."""
    return kit.spec(
        "bash", "--norc", "--noprofile", "--noediting", "-i",
        environment=(("PATH", "/usr/bin"), ("PS1", "inner> "), ("TERM", "dumb"), ("HISTFILE", "")),
    )  # fmt: skip


def test_the_terminal_has_a_name_inside(kit: Kit, screen: Screen) -> None:
    screen.type(line(kit, kit.spec("bash", "-c", "[ /proc/self/fd/0 -ef /dev/console ] && echo na''med")))
    screen.wait_for("named\n")


def test_without_a_terminal_there_is_no_console(kit: Kit) -> None:
    assert kit.run("bash", "-c", "[ -e /dev/console ] || echo none").output == "none\n"


def test_control_c_ends_the_command_and_gives_130(kit: Kit, screen: Screen) -> None:
    screen.type(line(kit, kit.spec("bash", "-c", "echo rea''dy; exec sleep 100")))
    screen.wait_for("ready\n")
    screen.type("\x03")
    screen.wait_for("outer> ")
    screen.type("echo status $?\n")
    screen.wait_for("status 130\n")


def test_control_c_arrives_once_and_may_be_caught(kit: Kit, screen: Screen) -> None:
    script = "trap 'echo cau''ght' INT; echo rea''dy; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; done; echo do''ne; exit 3"
    screen.type(line(kit, kit.spec("bash", "-c", script)))
    screen.wait_for("ready\n")
    screen.type("\x03")
    screen.wait_for("caught\n")
    screen.wait_for("done\n")
    assert "caught" not in screen.seen
    screen.type("echo status $?\n")
    screen.wait_for("status 3\n")


def test_control_z_gives_the_prompt_back_and_fg_continues(kit: Kit, screen: Screen) -> None:
    script = "echo rea''dy; read -r word; echo got $word; exit 6"
    screen.type(line(kit, kit.spec("bash", "-c", script)))
    screen.wait_for("ready\n")
    screen.type("\x1a")
    screen.wait_for("Stopped")
    screen.wait_for("outer> ")
    screen.type("echo here\n")
    screen.wait_for("\nhere\n")
    screen.type("fg\n")
    screen.wait_for("launch.py")
    time.sleep(0.2)
    screen.type("word\n")
    screen.wait_for("got word\n")
    screen.wait_for("outer> ")
    screen.type("echo status $?\n")
    screen.wait_for("status 6\n")


def test_a_background_command_that_reads_is_stopped_and_fg_lets_it_read(kit: Kit, screen: Screen) -> None:
    screen.type(line(kit, kit.spec("bash", "-c", "read -r word; echo got $word")).strip() + " &\n")
    screen.wait_for("outer> ")
    for _ in range(100):
        screen.type("jobs\n")
        screen.wait_for("jobs\n")
        if "Stopped" in screen.wait_for("(.*\n)?outer> ").group():
            break
        time.sleep(0.05)
    screen.type("fg\n")
    screen.wait_for("launch.py")
    time.sleep(0.2)
    screen.type("word\n")
    screen.wait_for("got word\n")


def test_a_shell_inside_has_job_control_of_its_own(kit: Kit, screen: Screen) -> None:
    screen.type(line(kit, inner(kit)))
    screen.wait_for("inner> ")
    assert "no job control" not in screen.seen
    screen.type("sleep 100\n")
    time.sleep(0.3)
    screen.type("\x1a")
    screen.wait_for("Stopped")
    screen.wait_for("inner> ")
    screen.type("fg\n")
    time.sleep(0.3)
    screen.type("\x03")
    screen.wait_for("inner> ")
    screen.type("echo status $?\n")
    screen.wait_for("status 130\n")
    screen.type("exit 5\n")
    screen.wait_for("outer> ")
    screen.type("echo status $?; cat\n")
    screen.wait_for("status 5\n")
    screen.type("the terminal is ours\n")
    screen.wait_for("ours\nthe terminal is ours\n")


def test_a_shell_inside_can_be_suspended_and_resumed(kit: Kit, screen: Screen) -> None:
    screen.type(line(kit, inner(kit)))
    screen.wait_for("inner> ")
    screen.type("suspend\n")
    screen.wait_for("Stopped")
    screen.wait_for("outer> ")
    screen.type("fg\n")
    screen.wait_for("launch.py")
    time.sleep(0.3)
    screen.type("echo ag''ain\n")
    screen.wait_for("again\n")
    screen.type("exit\n")
    screen.wait_for("outer> ")


def test_the_commands_group_sees_a_new_size(kit: Kit, screen: Screen) -> None:
    script = "trap 'echo si''zed' WINCH; echo rea''dy; while :; do sleep 0.02; done"
    screen.type(line(kit, kit.spec("bash", "-c", script)))
    screen.wait_for("ready\n")
    fcntl.ioctl(screen.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    screen.wait_for("sized\n")
    screen.type("\x03")
    screen.wait_for("outer> ")


def test_a_killed_command_leaves_the_terminal_as_it_was(kit: Kit) -> None:
    raw = "import os, signal, termios; a = termios.tcgetattr(0); a[3] &= ~(termios.ECHO | termios.ICANON);"
    code = raw + "termios.tcsetattr(0, termios.TCSANOW, a); os.kill(os.getpid(), signal.SIGKILL)"
    spec = kit.spec(
        *kit.python_inside(code), mounts=(*STANDARD, *kit.python_mounts()), environment=kit.python_environment()
    )
    screen = Screen(kit.command(spec)[0])
    try:
        before = screen.modes()
        assert screen.process.wait(timeout=20) == 137
        assert screen.modes() == before
    finally:
        screen.close()


def test_hanging_up_reaches_a_command_started_directly_at_the_terminal(kit: Kit) -> None:
    script = "trap 'exit 9' HUP; echo rea''dy; while :; do sleep 0.02; done"
    screen = Screen(kit.command(kit.spec("bash", "-c", script))[0])
    screen.wait_for("ready\n")
    os.close(screen.descriptor)
    try:
        assert screen.process.wait(timeout=10) == 9
    finally:
        screen.process.kill()


def test_nothing_can_be_typed_into_the_callers_terminal(kit: Kit) -> None:
    code = """
import ctypes, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)
for request in (0x5412, 0x541C, 0x5412 | 1 << 32, 0x541C | 1 << 32):
    result = libc.syscall(ctypes.c_long({"x86_64": 16, "aarch64": 29}[os.uname().machine]), ctypes.c_long(0), ctypes.c_ulong(request), b"x")
    print(result, ctypes.get_errno())
"""
    for uid in (0, 1000):
        spec = kit.spec(
            *kit.python_inside(code), mounts=(*STANDARD, *kit.python_mounts()), uid=uid, gid=uid,
            environment=kit.python_environment(),
        )  # fmt: skip
        screen = Screen(kit.command(spec)[0])
        try:
            screen.wait_for("(-1 1\n){4}")
        finally:
            screen.close()
