"""Other programs: the only module that starts them. No shell, nothing inherited that was not asked for."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from envbox.errors import CommandNotStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_GRACE = 2.0  # seconds between SIGTERM and SIGKILL
_SETTLE = 0.2  # seconds that output may still come once the program itself has ended
_PIECE = 1 << 16


@dataclass(frozen=True)
class Completed:
    """How it ended. `status` is 128 + n after signal n; the output is empty unless it was captured."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


def run(  # noqa: PLR0913 - each is one independent property of a process
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
    input: bytes | None = None,  # noqa: A002 - what subprocess calls it
    capture: bool = False,
    log: str | None = None,
    on_line: Callable[[str], None] | None = None,
    pass_fds: Sequence[int] = (),
    timeout: float | None = None,
) -> Completed:
    """Run to the end, in a session of its own. `environment` None: ours.

    Output goes to the result (`capture`), to the end of file `log`, by lines to `on_line`, or nowhere.
    On KeyboardInterrupt, or TimeoutError after `timeout` seconds, the whole process group is ended first.
    Raises CommandNotStarted.
    """
    wanted = subprocess.PIPE if capture or log is not None or on_line else subprocess.DEVNULL
    process = _start(
        argv,
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=wanted,
        stderr=wanted if capture or wanted == subprocess.DEVNULL else subprocess.STDOUT,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(_close, process)
        output = _Output(capture, on_line, stack.enter_context(open(log, "ab", 0)) if log is not None else None)
        try:
            _converse(process, input or b"", output, None if timeout is None else time.monotonic() + timeout)
        except BaseException:
            _end_group(process)
            raise
    output.finish()
    return Completed(tuple(argv), _status(process.wait()), bytes(output.kept["stdout"]), bytes(output.kept["stderr"]))


def foreground(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """Run with our terminal, its interrupt keys left to the program. The status; 128 + n after signal n."""
    with _leaving_keys_to_the_child():
        return _status(_start(argv, env=environment, cwd=directory, pass_fds=pass_fds).wait())


@contextlib.contextmanager
def _leaving_keys_to_the_child() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers, and only it is interrupted by keys
        return
    # Handlers, not SIG_IGN: a started program begins with the default action in place of a handler.
    previous = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _start(argv: Sequence[str], **settings: object) -> subprocess.Popen[bytes]:
    """With no signal blocked, whatever this thread blocks."""
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        return subprocess.Popen(argv, **settings)  # type: ignore[call-overload, no-any-return]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        place = getattr(error, "filename", None)
        about = f" ({place})" if place not in {None, argv[0]} else ""
        raise CommandNotStarted(
            f"cannot start {argv[0]}: {reason}{about}",
            hint=f"check that {argv[0]} is installed and executable",
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class _Output:
    """Where output goes as it comes."""

    def __init__(self, capture: bool, on_line: Callable[[str], None] | None, log: IO[bytes] | None) -> None:
        self.kept = {"stdout": bytearray(), "stderr": bytearray()}
        self._capture = capture
        self._on_line = on_line
        self._log = log
        self._rest = {"stdout": b"", "stderr": b""}

    def take(self, stream: str, piece: bytes) -> None:
        if self._capture:
            self.kept[stream] += piece
        if self._log:
            self._log.write(piece)
        if self._on_line:
            *lines, self._rest[stream] = (self._rest[stream] + piece).split(b"\n")
            for line in lines:
                self._on_line(line.decode(errors="replace").rstrip("\r"))

    def finish(self) -> None:
        if self._on_line:
            for rest in filter(None, self._rest.values()):
                self._on_line(rest.decode(errors="replace"))


def _converse(process: subprocess.Popen[bytes], remaining: bytes, output: _Output, deadline: float | None) -> None:
    """Feed and read until the program and its output have ended, or what it left behind is silent."""
    view = memoryview(remaining)
    ended = None
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr), ("stdin", process.stdin)):
            if pipe:
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_WRITE if name == "stdin" else selectors.EVENT_READ, name)
        while selector.get_map():
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError("the program did not end in time")
            ready = selector.select(0.1)
            for key, _ in ready:
                if key.data == "stdin":
                    view = _feed(key.fd, view)
                    over = not view
                else:
                    piece = os.read(key.fd, _PIECE)
                    output.take(key.data, piece)
                    over = not piece
                if over:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
            # A daemon that the program left behind may hold the pipes open for ever.
            if not ready and process.poll() is not None:
                ended = ended or time.monotonic()
                if time.monotonic() - ended >= _SETTLE:
                    return
    _wait(process, deadline)


def _feed(descriptor: int, view: memoryview) -> memoryview:
    """What is still to be written; nothing if the program does not want it."""
    try:
        return view[os.write(descriptor, view[:_PIECE]) :] if view else view
    except BrokenPipeError:
        return memoryview(b"")


def _wait(process: subprocess.Popen[bytes], deadline: float | None) -> None:
    try:
        process.wait(None if deadline is None else max(deadline - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        raise TimeoutError("the program did not end in time") from None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()


def _status(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode
