"""Sandboxes around a small root file system, made of this machine's own binaries: no network, no distribution."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envbox.sandbox import launch
from envbox.sandbox.spec import Mount, SandboxSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN_ID = 54321  # no account, no subordinate ids, no groups
PROGRAMS = (
    "sh", "bash", "ls", "cat", "true", "sleep", "id", "chown", "ln", "stat", "env", "touch", "mkdir", "rm", "mv",
    "chmod", "mkfifo", "mknod", "hostname", "readlink", "sync", "tail", "cp", "unshare", "mount",
    "umount", "find", "tar", "sed", "install", "test",
)  # fmt: skip
ACCOUNTS = ("groupadd", "useradd", "usermod")  # where the machine has them
STANDARD = (
    Mount("proc", "/proc"),
    Mount("devices", "/dev"),
    Mount("system", "/sys"),
    Mount("tmpfs", "/tmp", mode=0o1777),
    Mount("tmpfs", "/run"),
)


def make_root(folder: str) -> str:
    """A root file system with PROGRAMS and their libraries in it."""
    for name in ("usr/bin", "usr/lib", "proc", "dev", "sys", "tmp", "run", "etc", "root", "srv"):
        os.makedirs(f"{folder}/{name}")
    for name in ("bin", "lib"):
        os.symlink(f"usr/{name}", f"{folder}/{name}")
    for program in (*PROGRAMS, *(name for name in ACCOUNTS if shutil.which(name))):
        source = shutil.which(program)
        assert source, f"this machine has no {program}"
        shutil.copy(os.path.realpath(source), f"{folder}/usr/bin/{program}")
        linked = subprocess.run(["ldd", source], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+\.so\S*)", linked):
            place = folder + library
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if not os.path.exists(place):
                shutil.copy(os.path.realpath(library), place)
    return folder


@dataclass
class Outcome:
    """How a launch ended."""

    status: int
    output: str
    errors: str
    failure: dict[str, Any] | None = None


@dataclass
class Kit:
    """Launches in folders of its own, as the user who runs the tests or as a plain one."""

    folder: str
    layer: str
    plain: bool
    python: str
    defaults: dict[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """What subprocess needs to become the kit's user."""
        return {"user": PLAIN_ID, "group": PLAIN_ID, "extra_groups": []} if self.plain else {}

    def path(self, name: str) -> str:
        """A path in the kit's folder."""
        return os.path.join(self.folder, name)

    def new_folder(self, name: str, *, mode: int = 0o755) -> str:
        """A folder that belongs to the kit's user."""
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        self.own(path)
        return path

    def own(self, path: str) -> None:
        """Gives a path to the kit's user."""
        if self.plain:
            os.chown(path, PLAIN_ID, PLAIN_ID, follow_symlinks=False)

    def own_tree(self, path: str) -> None:
        """Gives a tree to the kit's user."""
        self.own(path)
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                self.own(os.path.join(folder, name))

    def spec(self, *argv: str, **changes: Any) -> SandboxSpec:
        """A spec with everything usual in it, and a fresh upper."""
        place = tempfile.mkdtemp(dir=self.folder, prefix="launch-")
        os.chmod(place, 0o755)
        self.own(place)
        for name in ("upper", "work", "root"):
            self.new_folder(os.path.join(place, name))
        spec = SandboxSpec(
            layers=(self.layer,),
            upper=f"{place}/upper",
            work=f"{place}/work",
            root=f"{place}/root",
            mounts=STANDARD,
            uid=1000,
            gid=1000,
            hostname="box",
            network="host",
            environment=(("PATH", "/usr/bin"), ("TERM", "dumb")),
            directory="/",
            argv=argv,
        )
        return dataclasses.replace(spec, **{**self.defaults, **changes})

    def fake_root(self, *argv: str, **changes: Any) -> SandboxSpec:
        """A spec of the build mode."""
        spec = self.spec(*argv, **changes)
        owners = os.path.join(os.path.dirname(spec.upper), "owners")
        return dataclasses.replace(spec, uid=0, gid=0, fake_root=True, owners=owners)

    def command(self, spec: SandboxSpec) -> tuple[list[str], str]:
        """The argv that launches a spec, and where a failure would be reported."""
        folder = os.path.dirname(spec.root)
        with open(f"{folder}/spec.json", "w", encoding="utf-8") as file:
            file.write(spec.to_json())
        self.own(file.name)
        argv = launch.command(f"{folder}/spec.json", f"{folder}/failure.json")
        return [self.python, *argv[1:]], f"{folder}/failure.json"

    def start(self, spec: SandboxSpec, **options: Any) -> subprocess.Popen[Any]:
        """A launch that is under way."""
        return subprocess.Popen(self.command(spec)[0], **self.identity(), **options)

    def launch(self, spec: SandboxSpec, **options: Any) -> Outcome:
        """A launch and its end."""
        argv, failure = self.command(spec)
        done = subprocess.run(
            argv, capture_output=True, check=False, timeout=60, text=True, **self.identity(), **options
        )
        return Outcome(done.returncode, done.stdout, done.stderr, read_failure(failure))

    def python_inside(self, code: str) -> tuple[str, ...]:
        """The argv that runs Python code in a sandbox with `python_mounts` and `python_environment`."""
        return ("/opt/python", "-S", "-c", code)

    def python_mounts(self) -> tuple[Mount, ...]:
        """Binds of the host's interpreter."""
        executable, _, library, shared = interpreter(self.python)
        return (
            Mount("bind", "/opt/python", executable, access="read"),
            Mount("bind", library, library, access="read"),
            *(Mount("bind", f"/opt/shared/{os.path.basename(path)}", path, access="read") for path in shared),
        )

    def python_environment(self) -> tuple[tuple[str, str], ...]:
        """What makes it find its parts."""
        return (("PYTHONHOME", interpreter(self.python)[1]), ("LD_LIBRARY_PATH", "/opt/shared"), ("PATH", "/usr/bin"))

    def run(self, *argv: str, **changes: Any) -> Outcome:
        """One command with the usual spec."""
        return self.launch(self.spec(*argv, **changes))

    def shell(self, script: str, **changes: Any) -> Outcome:
        """One script with the usual spec."""
        return self.run("bash", "-c", script, **changes)


def read_failure(path: str) -> dict[str, Any] | None:
    """What a launch reported, if it did."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        report: dict[str, Any] = json.load(file)
        return report
    return None


@contextlib.contextmanager
def kit_folder(parent: str, kit: Kit) -> Iterator[str]:
    """A folder elsewhere that belongs to the kit's user."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        kit.own(folder)
        yield folder


@functools.cache
def interpreter(python: str) -> tuple[str, str, str, list[str]]:
    """An interpreter's own executable, prefix, library folder, and the shared libraries it needs."""
    code = (
        "import sys, sysconfig, os, _ctypes; print(os.path.realpath(sys.executable), sys.base_prefix,"
        "sysconfig.get_path('stdlib'), getattr(_ctypes, '__file__', sys.executable), sep='\\n')"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    executable, prefix, library, extension = done.stdout.split("\n")[:4]
    linked = subprocess.run(["ldd", executable, extension], capture_output=True, text=True, check=False).stdout
    return executable, prefix, library, re.findall(r"=> (/\S+)", linked)


@functools.cache
def python_for(*, plain: bool) -> str | None:
    """An interpreter that the user can execute."""
    identity: dict[str, Any] = {"user": PLAIN_ID, "group": PLAIN_ID, "extra_groups": []} if plain else {}
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            done = subprocess.run([python, "-I", "-S", "-c", "import json"], check=False, **identity)
        except OSError:
            continue
        if done.returncode == 0:
            return python
    return None


@contextlib.contextmanager
def kit(*, plain: bool) -> Iterator[Kit]:
    """A kit in a folder that its user can reach; everything in it is removed at the end."""
    python = python_for(plain=plain)
    assert python
    with tempfile.TemporaryDirectory(prefix="envbox-sandbox-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        made = Kit(folder, make_root(f"{folder}/layer"), plain, python)
        made.own_tree(folder)
        yield made
        for place, folders, _ in os.walk(folder):
            for name in folders:
                full = os.path.join(place, name)
                if not os.path.islink(full):  # some lead to folders of this machine
                    with contextlib.suppress(OSError):
                        os.chmod(full, 0o700)  # overlay's work folder has mode 0
