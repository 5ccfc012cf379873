"""Under what an environment is built: the first time as most people would, the second time as nobody would."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import plain as people

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.plain import Person

FILE_SYSTEMS = ("xfs", "tmpfs", "btrfs")
_IMAGE = 16 << 30  # sparse: only what is written takes room
_MEMORY = 10 << 30
_FAKETIME = Path(f"/usr/lib/{os.uname().machine}-linux-gnu/faketime/libfaketime.so.1")
_RELEASE = re.compile(r"[\d.]+")
_SHIFT = 37 * 86400 + 5 * 3600 + 11

# The program as it is, under a clock that is days ahead, also for the maintainer scripts if libfaketime is there.
_DRIVER = """
import os, sys, time
shift, clock = float(os.environ.pop("IDENTITY_SHIFT")), time.time
time.time = lambda: clock() + shift
library = os.environ.pop("IDENTITY_FAKETIME")
if library:
    from envbox import build_sandbox
    from envbox.sandbox.spec import Mount
    build_sandbox._MOUNTS += (Mount("bind", "/run/faketime.so", library, access="read"),)
    build_sandbox._ENVIRONMENT.update(
        LD_PRELOAD="/run/faketime.so", FAKETIME=f"+{shift:.0f}", NO_FAKE_STAT="1", FAKETIME_DONT_FAKE_MONOTONIC="1",
        FAKETIME_SKIP_CMDS="rndc-confgen,java",  # which it makes wait forever: with jemalloc, and in Debian 12
    )
from envbox.__main__ import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Conditions:
    """Who builds, where, and with what around. `told` is what differs, for the report."""

    person: Person
    parent: Path
    told: dict[str, str]
    umask: int = 0o022
    variables: dict[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    shift: int = 0
    scripts_shift: bool = False

    def command(self, *arguments: str) -> list[str]:
        """The argv of an envbox command."""
        start = ["-c", _DRIVER] if self.shift else ["-m", "envbox"]
        return [*self.wrapper, self.person.python, *start, *arguments]

    def environment(self, store: Path) -> dict[str, str]:
        """The variables of an envbox command."""
        library = str(_FAKETIME) if self.scripts_shift else ""
        clock = {"IDENTITY_SHIFT": str(self.shift), "IDENTITY_FAKETIME": library} if self.shift else {}
        return {**self.person.environment(), "ENVBOX_STORE": str(store), **self.variables, **clock}


def usual(person: Person, parent: Path) -> Conditions:
    """Whoever runs the benchmark, as they are."""
    told = {
        "user": "root" if person.uid == 0 else "a plain user",
        "file system": file_system(parent),
        "umask": "022",
        "time zone, language": "UTC, C.UTF-8",
        "host name": "the machine's",
        "kernel release": _RELEASE.match(os.uname().release)[0],  # type: ignore[index]
        "processors": str(len(os.sched_getaffinity(0))),
        "store's path": ".../first/store",
        "clock": "the machine's",
    }
    return Conditions(person, parent, told, variables={"TZ": "UTC", "LANG": "C.UTF-8"})


def odd(person: Person, parent: Path, base: str) -> Conditions:
    """Another user if there is one, and all else otherwise, as far as this machine lets it be.

    libfaketime of Debian 12 and later does not run in Debian 11.
    """
    deep = parent / "a rather long & odd folder" / "für den Speicher"
    deep.mkdir(parents=True)
    person.own(parent)
    shifted = _FAKETIME.exists() and base != "debian:11"
    core = max(os.sched_getaffinity(0))
    privileged = os.geteuid() == 0
    wrapper = ["taskset", "--cpu-list", str(core)]
    if privileged:
        name = 'hostname elsewhere.example.org && exec "$@"'
        identity = ["setpriv", f"--reuid={person.uid}", f"--regid={person.uid}", "--clear-groups"]
        wrapper = ["unshare", "--uts", "sh", "-c", name, "sh", *identity, *wrapper]
    wrapper += ["setarch", "--uname-2.6"]
    told = {
        "user": "a plain user without subordinate ids",
        "file system": file_system(parent),
        "umask": "077",
        "time zone, language": "Asia/Seoul, tr_TR.UTF-8",
        "host name": "elsewhere.example.org" if privileged else "not varied: needs root",
        "kernel release": _RELEASE.match(_output("setarch", "--uname-2.6", "uname", "-r"))[0],  # type: ignore[index]
        "processors": "1",
        "store's path": f".../{deep.relative_to(parent)}/store",
        "clock": f"{_SHIFT // 86400} days ahead; " + _clock_of_scripts(shifted=shifted),
    }
    variables = {
        "TZ": "Asia/Seoul", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr", "HOSTNAME": "elsewhere",
        "EDITOR": "ed", "DEBIAN_FRONTEND": "readline", "PERL5LIB": "/nowhere", "SOURCE_DATE_EPOCH": "86400",
    }  # fmt: skip
    return Conditions(person, deep, told, 0o077, variables, tuple(wrapper), _SHIFT, shifted)


def _clock_of_scripts(*, shifted: bool) -> str:
    if shifted:
        return "that of scripts too, by libfaketime, but for Java and static programs; files get the kernel's time"
    return "maintainer scripts see the machine's, for want of a libfaketime for them"


def file_system(path: Path) -> str:
    """The type of the file system that `path` is on."""
    return _output("stat", "--file-system", "--format=%T", str(path)).replace("ext2/ext3", "ext4")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def place(work: Path, kind: str, name: str = "") -> Iterator[Path]:
    """A folder in a file system of this kind, made for it; without privileges one in memory."""
    if os.geteuid() != 0:
        with tempfile.TemporaryDirectory(prefix="identity-", dir="/dev/shm") as folder:
            yield Path(folder)
        return
    mounted = work / (name or kind)
    mounted.mkdir()
    image = work / f"{kind}.image"
    try:
        _mount(kind, image, mounted)
        os.chmod(mounted, 0o755)
        yield mounted
    finally:
        subprocess.run(["umount", "--lazy", str(mounted)], check=False, capture_output=True)
        mounted.rmdir()
        image.unlink(missing_ok=True)


def _mount(kind: str, image: Path, target: Path) -> None:
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={_MEMORY}", "tmpfs", str(target)]
    else:
        with open(image, "wb") as file:
            file.truncate(_IMAGE)
        subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True)
        command = ["mount", "-o", "loop", str(image), str(target)]
    subprocess.run(command, check=True, capture_output=True)


def two_people(folder: Path) -> tuple[Person, Person]:
    """Who builds first and who builds second: root and a plain user, or the same plain user twice."""
    modules = people.copy_modules(folder / "modules")
    first = people.runner(folder, modules)
    return first, people.plain(folder, modules) if first.uid == 0 else first
