"""What the calls of a fake root are answered: by recording the owner meant, by telling it, or by the kernel alone."""

from __future__ import annotations

import os
import struct

from envbox.sandbox import kernel, stat_calls
from envbox.sandbox.callers import Lookup
from envbox.sandbox.chown_calls import ChownCall
from envbox.sandbox.records import ROOT, Records
from envbox.sandbox.stat_calls import StatCall
from envbox.sandbox.watch import MOST_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbox.sandbox.watch import Watch


# acl(5), linux/posix_acl_xattr.h: a header of four bytes, then entries of tag, permissions, id.
_ACCESS_LISTS, _ENTRIES = b"system.posix_acl_", struct.Struct("=HHI")
_USER, _GROUP = 2, 8
_LONGEST_LIST = 1 << 12


class Answers:
    """Made in a process that has the callers' mount namespace and root. `earlier`: what `records` wrote before."""

    def __init__(self, earlier: bytes, watch: Watch) -> None:
        self.records = Records()
        self._lookup = Lookup()
        self._watch = watch
        self.records.recall(earlier)

    def answer(self, name: str, process: int, arguments: tuple[int, ...], confirm: Callable[[], None]) -> bool:
        """Whether the call is done; if not, the kernel shall do it. Raises the OSError that it is to fail with.

        `confirm` raises unless the process that asked still waits: else its number, and what was read, may be
        another's.
        """
        if name in {"chown", "fchown", "lchown", "fchownat"}:
            self._change(ChownCall(name, process, arguments), confirm)
            return True
        if name == "uname":
            confirm()
            self._lookup.write(process, arguments[0], kernel.name())
            return True
        if name in {"setxattr", "lsetxattr", "fsetxattr"}:
            return self._names_others(process, *arguments[1:4])
        if name in {"execve", "execveat", "chroot"}:
            self._take_note(name, process, arguments)
            return False
        self._watch.ran(process)
        try:
            return self._tell(StatCall(name, process, arguments), confirm)
        except OSError:
            return False

    def _names_others(self, process: int, name: int, value: int, size: int) -> bool:
        """Whether an attribute is an access list of more than owner, group and others.

        It names users whom the kernel does not know here: it is said to be set, and not kept. Any other list is only
        another way to change a file's mode.
        """
        if not self._text(process, name).startswith(_ACCESS_LISTS) or not 4 < size <= _LONGEST_LIST:
            return False
        data = self._lookup.data(process, value, size)[4:]
        whole = data[: len(data) - len(data) % _ENTRIES.size]
        return any(tag in (_USER, _GROUP) for tag, _, _ in _ENTRIES.iter_unpack(whole))

    def _change(self, call: ChownCall, confirm: Callable[[], None]) -> None:
        descriptor = self._lookup.open(call)
        try:
            confirm()
            self.records.change(descriptor, call.uid, call.gid)
        finally:
            os.close(descriptor)

    def _tell(self, call: StatCall, confirm: Callable[[], None]) -> bool:
        if not call.is_usual or self.records.is_plain(self._lookup.status(call)):
            return False
        descriptor = self._lookup.open(call)
        try:
            owner = self.records.owner(descriptor)
            if owner == ROOT:
                return False
            told = stat_calls.answer(call, descriptor, owner)
            confirm()
            self._lookup.write(call.process, call.buffer, told)
            return True
        finally:
            os.close(descriptor)

    def _take_note(self, name: str, process: int, arguments: tuple[int, ...]) -> None:
        if name != "chroot":
            path, words = (arguments[1], arguments[2]) if name == "execveat" else arguments[:2]
            self._watch.starts(
                process, self._text(process, path), lambda: self._lookup.words(process, words, MOST_WORDS)
            )
        self._lookup.forget()

    def _text(self, process: int, address: int) -> bytes:
        """Nothing where it cannot be read: in process 1's own child, which is as hidden as that until its exec."""
        try:
            return self._lookup.text(process, address)
        except OSError:
            return b""
