"""The supervisor of a fake root: is asked about the calls of a build that set or tell an owner.

Runs in process 1 of a build's sandbox, which has the command's mount namespace and root. Only builds need it.
"""

from __future__ import annotations

import _socket
import errno
import os
import resource
import select
import struct
from fcntl import ioctl

from envbox.sandbox import fake_root
from envbox.sandbox.answers import Answers
from envbox.sandbox.failure import Stage
from envbox.sandbox.seccomp import install_with_listener
from envbox.sandbox.syscalls import signal_descriptor
from envbox.sandbox.watch import Watch

_RECEIVE, _SEND, _STILL_VALID, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40082104  # linux/seccomp.h
_WAKE_SYNCHRONOUSLY = 1
_CONTINUE = 1
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")


class Supervisor:
    """Made before the fork of the command; `enlist` is the command's half, everything else process 1's."""

    def __init__(self, owners: str, upper: str) -> None:
        """Opens the host's file and folder, which are out of sight later. Raises OSError."""
        if not fake_root.supported():
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._owners = os.open(owners, flags, 0o644) if owners else -1
        self._earlier = os.pread(self._owners, os.fstat(self._owners).st_size, 0) if owners else b""
        self._upper = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if upper else -1
        self._here, self._there = _socket.socketpair()
        self._calls = fake_root.calls()
        self._watch = Watch()
        self._listener = self._alarm = -1
        self._poll = select.poll()

    def descriptors(self) -> tuple[int, ...]:
        """What must stay open."""
        return self._owners, self._upper, self._here.fileno(), self._there.fileno()

    def enlist(self) -> None:
        """From here on the calls of this process are answered by the one that called `accept`."""
        self._here.close()
        self._watch.unify()
        with Stage("fake root", "seccomp user notification"):
            listener = install_with_listener(fake_root.program(self._watch.first_unwatched))
            rights = struct.pack("=i", listener)
            self._there.sendmsg([b"l"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
            self._there.recv(1)
            os.close(listener)
        self._there.close()

    def accept(self) -> None:
        """Takes over the command's calls, unless it failed to enlist and reports that itself."""
        self._there.close()
        data, rights, _, _ = self._here.recvmsg(1, 64)
        if not data:
            return
        with Stage("fake root", "/proc"):
            self._answers = Answers(self._earlier, self._watch)
        with Stage("fake root", "signals"):
            (self._listener,) = struct.unpack("=i", rights[0][2][:4])
            self._alarm = signal_descriptor()
        self._prefer_one_processor()
        self._poll.register(self._listener, select.POLLIN)
        self._poll.register(self._alarm, select.POLLIN)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # records hold descriptors
        self._here.send(b"g")

    def answer_until_signal(self) -> None:
        """Answers calls until there is a signal to take."""
        while self._listener >= 0:
            for descriptor, event in self._poll.poll():
                if descriptor == self._alarm:
                    return
                if event & select.POLLIN:
                    self._answer()
                else:  # nobody is left to ask
                    self._poll.unregister(descriptor)

    def write_owners(self) -> None:
        """Writes the owners that no attribute holds to the host's file."""
        if self._owners < 0:
            return
        with Stage("owners"):
            self._answers.records.write(self._owners, self._upper)

    def _answer(self) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            ioctl(self._listener, _RECEIVE, buffer, True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # the caller was killed meanwhile
                return
            raise
        cookie, process, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        result = flags = 0
        try:
            done = self._answers.answer(self._calls[number], process, tuple(arguments), lambda: self._confirm(cookie))
            flags = 0 if done else _CONTINUE
        except OSError as error:
            result = -(error.errno or errno.EIO)
        try:
            ioctl(self._listener, _SEND, bytearray(_ANSWER.pack(cookie, 0, result, flags)), True)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _confirm(self, cookie: int) -> None:
        ioctl(self._listener, _STILL_VALID, struct.pack("=Q", cookie))

    def _prefer_one_processor(self) -> None:
        """Who asks sleeps while we answer and the other way round: no need to wake another processor."""
        try:
            ioctl(self._listener, _SET_FLAGS, _WAKE_SYNCHRONOUSLY)
        except OSError:
            return  # Linux before 6.6
