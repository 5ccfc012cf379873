"""Which programs are told the owners that were meant: all but those known not to care.

To ask about every stat costs a build a fifth and more, and a filter sees neither a program's name nor can it be
taken off again. It does see from where in memory a call comes. So each exec is asked about, and whether the new
program is watched is written into its memory layout: the kernel puts libraries below the room that the stack
may grow into (mm/util.c, arch/x86/mm/mmap.c: mmap_base), which is the limit that the process has at that moment.
A filter lets a call pass that comes from near the top of the address space, where libraries are without that limit.
"""

from __future__ import annotations

import resource

from envbox.sandbox.failure import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# In 1/32 of the address space; random offsets take up to 4 of it, and programs themselves lie from 21.3 to 25.3.
_ROOM, _FIRST_UNWATCHED = 15, 27
_SMALLEST = 1 << 38  # bytes: the smallest address space of the machines that a fake root knows
_USUAL = 8 << 20
# Programs that neither tell anybody nor hand on the owner of a file, by the names that builds start them by.
UNWATCHED = frozenset(
    {
        # texts and names
        b"awk", b"basename", b"cat", b"cmp", b"cut", b"date", b"dirname", b"echo", b"egrep", b"expr", b"fgrep",
        b"gawk", b"getent", b"getopt", b"grep", b"head", b"hostname", b"id", b"locale", b"mawk", b"md5sum", b"od",
        b"paste", b"printf", b"readlink", b"realpath", b"seq", b"sha256sum", b"sleep", b"sort", b"tail", b"tee",
        b"tr", b"true", b"uname", b"uniq", b"wc", b"which", b"xargs",
        # files made, moved within a folder's file system, or removed
        b"chmod", b"ln", b"mkdir", b"mkfifo", b"mktemp", b"rm", b"rmdir", b"tempfile", b"touch",
        # what programs and libraries are made with
        b"ar", b"as", b"c++", b"cargo", b"cc", b"cc1", b"cc1plus", b"cmake", b"collect2", b"g++", b"gcc", b"ld",
        b"lto1", b"make", b"ninja", b"rustc", b"uv",
        # databases of packages, links and caches, all root's
        b"deb-systemd-helper", b"deb-systemd-invoke", b"dpkg-divert", b"dpkg-maintscript-helper", b"dpkg-query",
        b"dpkg-realpath", b"dpkg-trigger", b"fc-cache", b"frontend", b"invoke-rc.d", b"ldconfig", b"ldconfig.real",
        b"logger", b"mandb", b"openssl", b"py3clean", b"py3compile", b"sync", b"systemctl", b"update-alternatives",
        b"update-ca-certificates", b"update-rc.d",
    }
)  # fmt: skip
# Programs that do so with options that have one of these letters: in place, preserve or archive, owned by.
_CARING_OPTIONS = {
    b"sed": frozenset(b"i"), b"cp": frozenset(b"ap"), b"test": frozenset(b"OG"), b"[": frozenset(b"OG"),
}  # fmt: skip
MOST_WORDS = 12
"""How many words of a command are looked at; programs whose options matter and that have more are watched."""


class Watch:
    """Makes programs watched or not as they are started, from the process that is asked about their calls."""

    def __init__(self) -> None:
        size = _address_space()
        self._limit = room(size)
        _, self._most = resource.getrlimit(resource.RLIMIT_STACK)
        able = size >= _SMALLEST and (self._most == resource.RLIM_INFINITY or self._most >= self._limit)
        self.first_unwatched = border(size) if able else 0
        """The lowest address from which calls need no answer; 0 where every program has to be watched."""
        self._before: dict[int, tuple[int, int]] = {}

    def unify(self) -> None:
        """Gives this process, and what it starts, the stack that programs have nearly everywhere."""
        most = self._most if self._most != resource.RLIM_INFINITY else _USUAL
        resource.setrlimit(resource.RLIMIT_STACK, (min(_USUAL, most), self._most))

    def starts(self, process: int, path: bytes, words: Callable[[], list[bytes]]) -> None:
        """A process is about to become the program at `path`, called with `words`."""
        if not self.first_unwatched:
            return
        if not cares(path, words):
            self.ran(process)
            return
        before = self._limit_stack(process, (self._limit, self._most))
        if before and before[0] != self._limit:
            self._before[process] = before

    def ran(self, process: int) -> None:
        """A watched program has started: its layout is made, and its limit is again what it was."""
        before = self._before.pop(process, None)
        if before:
            self._limit_stack(process, before)

    def _limit_stack(self, process: int, limit: tuple[int, int]) -> tuple[int, int] | None:
        """Sets a process's limit and tells the one before, or None if it ended or has lowered its limit for good."""
        with Stage("fake root", "limit of the stack"):
            try:
                return resource.prlimit(process, resource.RLIMIT_STACK, limit)
            except ProcessLookupError:
                return None
            except PermissionError:
                if resource.prlimit(process, resource.RLIMIT_STACK)[1] == self._most:
                    raise
                return None


def room(size: int) -> int:
    """The limit of the stack that makes a program watched, in an address space of `size` bytes."""
    return size // 32 * _ROOM


def border(size: int) -> int:
    """Where the libraries of watched programs cannot be, and those of all others are above."""
    return size // 32 * _FIRST_UNWATCHED


def cares(path: bytes, words: Callable[[], list[bytes]]) -> bool:
    """Whether the program at `path`, called with `words`, may do something with the owner of a file."""
    name = path.rpartition(b"/")[2]
    if name in UNWATCHED:
        return False
    is_python, wanted = name.startswith(b"python3"), _CARING_OPTIONS.get(name)
    if not is_python and wanted is None:
        return True
    try:
        found = words()
    except OSError:
        return True
    if is_python:
        return not any(b"py_compile" in word or b"compileall" in word for word in found)
    assert wanted is not None, "the other kind has been dealt with"
    return len(found) >= MOST_WORDS or any(w.startswith(b"-") and not wanted.isdisjoint(w) for w in found)


def _address_space() -> int:
    """The size, a power of two, of what programs can have: the one whose top the stack lies at (proc_pid_stat(5))."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return 1 << int(fields[25]).bit_length()
