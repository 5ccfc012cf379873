"""Starting other programs."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from envbox.errors import CommandNotStarted
from envbox.host.run import foreground, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def take_terminal() -> None:
    os.close(os.open(os.ttyname(0), os.O_RDWR))


def gone(pid: int) -> bool:
    """Not there, or a zombie that nobody has reaped yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return True


def test_output_and_status_are_returned() -> None:
    done = run(shell("echo out; echo err >&2; exit 7"), capture=True)
    assert (done.status, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_death_by_signal_is_128_and_its_number() -> None:
    assert run(shell("kill -9 $$")).status == 137


def test_nothing_is_printed_unless_asked(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(shell("echo out; echo err >&2")).stdout == b""
    assert capfd.readouterr() == ("", "")


def test_the_environment_is_only_what_is_given() -> None:
    assert run(["/usr/bin/env"], environment={"A": "1"}, capture=True).stdout == b"A=1\n"


def test_it_runs_in_the_directory(tmp_path: Path) -> None:
    assert run(["pwd"], directory=str(tmp_path), capture=True).stdout.decode().strip() == str(tmp_path)


def test_large_input_and_output_do_not_block_each_other() -> None:
    data = os.urandom(3_000_000)
    assert run(["cat"], input=data, capture=True).stdout == data


def test_a_program_that_does_not_want_its_input_is_fine() -> None:
    assert run(["true"], input=b"x" * 1_000_000, capture=True).status == 0


def test_without_input_there_is_none_to_wait_for() -> None:
    assert run(["cat"], capture=True).stdout == b""


def test_lines_come_while_the_program_runs_and_the_log_has_all_in_order(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    seen: list[tuple[str, float]] = []
    script = r"echo one; sleep 0.4; echo two >&2; printf 'three\r\nfour \377'"
    run(
        shell(script),
        log=str(tmp_path / "log"),
        on_line=lambda line: seen.append((line, time.monotonic())),
    )
    assert [line for line, _ in seen] == ["one", "two", "three", "four �"]
    assert seen[1][1] - seen[0][1] > 0.2
    assert (tmp_path / "log").read_bytes() == b"before\none\ntwo\nthree\r\nfour \xff"


def test_a_program_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    for argv in (["no-such-program"], [str(tmp_path)], ["a\0b"]):
        with pytest.raises(CommandNotStarted, match="cannot start"):
            run(argv)
    with pytest.raises(CommandNotStarted, match="/no/such/folder"):
        run(["true"], directory="/no/such/folder")


def test_in_time_is_fine_and_too_late_ends_the_whole_group(tmp_path: Path) -> None:
    assert run(["true"], timeout=10).status == 0
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    began = time.monotonic()
    for capture in (False, True):
        with pytest.raises(TimeoutError):
            run(shell(script), timeout=0.3, capture=capture)
        assert until(lambda: gone(int((tmp_path / "pid").read_text())))
    assert time.monotonic() - began < 4


def test_what_ignores_termination_is_killed(tmp_path: Path) -> None:
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"
    with pytest.raises(TimeoutError):
        run(shell(script), timeout=0.3)
    assert until(lambda: gone(int((tmp_path / "pid").read_text())))


def test_an_interruption_ends_the_whole_group(tmp_path: Path) -> None:
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        run(shell(f"sleep 60 & echo $! > {tmp_path}/pid; wait"), capture=True)
    assert until(lambda: gone(int((tmp_path / "pid").read_text())))


def test_a_daemon_left_behind_does_not_hold_us(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run(shell(f"sleep 60 & echo $! > {tmp_path}/pid; echo done"), capture=True)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert done.stdout == b"done\n"
    assert time.monotonic() - began < 5


def test_no_signal_is_blocked_in_the_program() -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    try:
        told = run(["grep", "SigBlk", "/proc/self/status"], capture=True).stdout
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked | {signal.SIGTERM, signal.SIGUSR1}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert int(told.split()[1], 16) == 0


def test_only_named_descriptors_are_passed() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    try:
        listed = run(["ls", "/proc/self/fd"], capture=True, pass_fds=[writing]).stdout.split()
    finally:
        os.close(reading)
        os.close(writing)
    assert str(writing).encode() in listed
    assert str(reading).encode() not in listed


def test_an_error_of_the_line_reader_ends_the_program(tmp_path: Path) -> None:
    def refuse(_: str) -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        run(shell(f"echo $$ > {tmp_path}/pid; echo line; exec sleep 60"), on_line=refuse)
    assert until(lambda: gone(int((tmp_path / "pid").read_text())))


def test_the_foreground_has_our_terminal_and_its_keys() -> None:
    program = (
        "from envbox.host.run import foreground\n"
        "script = 'trap \"echo caught; exit 3\" INT; tty; echo ready; while :; do sleep 0.05; done'\n"
        "print('status', foreground(['sh', '-c', script]))\n"
    )
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 - nothing else gives a session its terminal
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the terminal's end
        while chunk := os.read(ours, 1000):
            said += chunk
            if b"ready" in chunk:
                os.write(ours, b"\x03")
    assert child.wait(10) == 0
    assert b"/dev/pts/" in said
    assert b"caught" in said
    assert b"status 3" in said
    os.close(ours)


def test_the_foreground_tells_signals_as_shells_do_and_leaves_handlers_as_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert foreground(shell("kill -TERM $$"), environment={"PATH": "/bin"}) == 143
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(CommandNotStarted):
        foreground(["no-such-program"])
