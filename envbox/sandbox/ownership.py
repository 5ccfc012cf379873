"""The supervisor of a fake root: answers changes of ownership by recording the owner that was meant.

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
from envbox.sandbox.chown_calls import ChownCall, Lookup
from envbox.sandbox.failure import Stage
from envbox.sandbox.records import Records
from envbox.sandbox.seccomp import install_with_listener
from envbox.sandbox.syscalls import signal_descriptor

_RECEIVE, _SEND, _STILL_VALID = 0xC0502100, 0xC0182101, 0x40082102  # linux/seccomp.h
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
        self._calls = fake_root.ownership_calls()
        self._listener = self._alarm = -1
        self._poll = select.poll()
        self._records = Records()

    def descriptors(self) -> tuple[int, ...]:
        """What must stay open."""
        return self._owners, self._upper, self._here.fileno(), self._there.fileno()

    def enlist(self) -> None:
        """From here on the calls of this process are answered by the one that called `accept`."""
        self._here.close()
        with Stage("fake root", "seccomp user notification"):
            listener = install_with_listener(fake_root.program())
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
            self._lookup = Lookup()
        with Stage("owners"):
            self._records.recall(self._earlier)
        with Stage("fake root", "signals"):
            (self._listener,) = struct.unpack("=i", rights[0][2][:4])
            self._alarm = signal_descriptor()
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
            self._records.write(self._owners, self._upper)

    def _answer(self) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            ioctl(self._listener, _RECEIVE, buffer, True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # the caller was killed meanwhile
                return
            raise
        cookie, process, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        result = 0
        try:
            self._change(cookie, ChownCall(self._calls[number], process, tuple(arguments)))
        except OSError as error:
            result = -(error.errno or errno.EIO)
        try:
            ioctl(self._listener, _SEND, bytearray(_ANSWER.pack(cookie, 0, result, 0)), True)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _change(self, cookie: int, call: ChownCall) -> None:
        descriptor = self._lookup.open(call)
        try:
            # Still the process that asked? Else its number, and so what was read, may be another's.
            ioctl(self._listener, _STILL_VALID, struct.pack("=Q", cookie))
            self._records.change(descriptor, call.uid, call.gid)
        finally:
            os.close(descriptor)
