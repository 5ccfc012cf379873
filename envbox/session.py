"""Rootfs + access -> Session: enters an environment that is built.

The warm path of `envbox run` and `envbox shell`: it reads one small file, touches no network, and imports neither the
rest of envbox nor anything of the standard library that is slow to import.
"""

from __future__ import annotations

import os

from envbox.fingerprint import fingerprint
from envbox.store.removal import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SPEC_NAME = "envbox.toml"
LOCK_NAME = "envbox.lock"
RECORD_VERSION = 1
HOME = "/home/dev"
USER = "dev"
USER_ID = 1000
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What describes the person's terminal, clock and way to the network; nothing else of the host's environment enters.
_PASSED = (
    "TERM", "COLORTERM", "NO_COLOR", "TZ",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
)  # fmt: skip


def find_project(start: str) -> str | None:
    """The nearest folder at or above `start` that has an envbox.toml."""
    folder = os.path.realpath(start)
    while not os.path.isfile(os.path.join(folder, SPEC_NAME)):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def identity_of(folder: str, spec: bytes, lock: bytes) -> str:
    """What the record of a project with these very texts is called."""
    return sha256_of(b"\0".join((os.fsencode(folder), spec, lock)))


def record_path(store: str, identity: str) -> str:
    """Where the record of that name is."""
    return os.path.join(store, "environments-v1", identity, "record.json")


def load_record(store: str, folder: str) -> dict[str, Any] | None:
    """The record of a built environment, if the project has one that still holds."""
    try:
        texts = (_read(os.path.join(folder, name)) for name in (SPEC_NAME, LOCK_NAME))
        identity = identity_of(folder, *texts)
        record: dict[str, Any] = parse_json(_read(record_path(store, identity)).decode())
        record["identity"] = identity
        unchanged = all(sha256_of(_read(os.path.join(folder, name))) == digest for name, digest in record["sources"])
        unchanged &= all(fingerprint(os.path.join(folder, name)) == value for name, value in record["inputs"])
    except (OSError, ValueError, KeyError):
        return None
    whole = all(os.path.isdir(layer) for layer in record["layers"])
    return record if unchanged and whole and record["version"] == RECORD_VERSION else None


class Session:
    """One entry into an environment. `run` can be called once."""

    def __init__(self, store: str, folder: str, record: dict[str, Any], *, root: bool = False) -> None:
        self._store = store
        self._folder = folder
        self._record = record
        self._root = root

    def run(self, argv: Sequence[str]) -> int:
        """Run a command in this process's terminal; returns its exit status. Raises LaunchError.

        For callers with a single thread. The root file system's changes are gone afterwards.
        """
        from envbox.sandbox.native import launch

        with self.work() as folder:
            return launch(self.sandbox(folder, argv))

    def work(self) -> WorkFolder:
        """A context with a new work folder for the overlay, which is gone at its end."""
        return WorkFolder(self._store, self._record["name"], self._record["identity"])

    def sandbox(self, work: str, argv: Sequence[str], directory: str | None = None) -> dict[str, Any]:
        """The plain form of the SandboxSpec that runs `argv`."""
        record = self._record
        identity = 0 if self._root else USER_ID
        return {
            "layers": record["layers"],
            "upper": os.path.join(work, "upper"),
            "work": os.path.join(work, "work"),
            "root": os.path.join(work, "root"),
            "mounts": [
                _mount("proc", "/proc"),
                _mount("devices", "/dev"),
                _mount("system", "/sys", optional=True),
                _mount("tmpfs", "/tmp", mode=0o1777),
                _mount("tmpfs", "/run"),
                _mount(
                    "bind",
                    "/etc/resolv.conf",
                    os.path.realpath("/etc/resolv.conf"),
                    access="read",
                    optional=True,
                ),
                _mount("bind", HOME, record["home"]),
                _mount("bind", self._folder, self._folder),
                *(_mount("bind", v["target"], v["source"], access=v["access"]) for v in record["volumes"]),
                *self._covers(),
            ],
            "uid": identity,
            "gid": identity,
            "hostname": record["name"],
            "network": "host",
            "environment": list(self.environment().items()),
            "directory": self._directory(directory or os.getcwd()),
            "argv": list(argv),
            "umask": _umask(),
            "fake_root": False,
            "owners": "",
        }

    def _covers(self) -> list[dict[str, Any]]:
        """Hide the store where the project or a volume would show it: all environments stand on what is in it."""
        shown = [(self._folder, self._folder), *((v["source"], v["target"]) for v in self._record["volumes"])]
        return [
            _mount("tmpfs", target.rstrip("/") + self._store[len(source.rstrip("/")) :])
            for source, target in shown
            if f"{self._store}/".startswith(f"{source.rstrip('/')}/")
        ]

    def shell(self) -> list[str]:
        """The argv of the shell that the spec names."""
        return [self._record["shell"]]

    def environment(self) -> dict[str, str]:
        """All variables that the command sees."""
        record = self._record
        variables = {name: os.environ[name] for name in _PASSED if name in os.environ}
        variables["PATH"] = ":".join([*record["path"], _PATH])
        variables["LANG"] = "C.UTF-8"
        variables["HOME"] = "/root" if self._root else HOME
        variables["USER"] = variables["LOGNAME"] = "root" if self._root else USER
        variables["SHELL"] = f"/bin/{record['shell']}" if "/" not in record["shell"] else record["shell"]
        variables["ENVBOX"] = record["name"]
        variables.update(record["variables"])
        return variables

    def _directory(self, directory: str) -> str:
        # Outside the project nothing of the host is there to stand in.
        inside = directory == self._folder or directory.startswith(self._folder.rstrip("/") + "/")
        return directory if inside else self._folder


class WorkFolder:
    """A folder in the store's tmp/ with what an overlay writes to, locked as long as it is in use.

    Its name ends in that of the environment, for whoever cleans the store. Raises CommandNotStarted if the record of
    that has just been removed.
    """

    def __init__(self, store: str, name: str, identity: str) -> None:
        self._path = os.path.join(store, "tmp", f"session-{os.getpid()}-{os.urandom(6).hex()}-{identity}")
        self._name = name
        self._record = record_path(store, identity)
        self._lock = -1

    def __enter__(self) -> str:
        import fcntl

        try:
            os.mkdir(self._path, 0o700)
        except FileNotFoundError:
            os.makedirs(self._path, 0o700)
        self._lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._check_record()
        for name in ("upper", "work", "root"):
            os.mkdir(os.path.join(self._path, name), 0o755)
        os.chmod(os.path.join(self._path, "upper"), 0o755)
        self._write_hosts(os.path.join(self._path, "upper", "etc"))
        return self._path

    def __exit__(self, *_: object) -> None:
        try:
            remove_tree(self._path)
        finally:
            os.close(self._lock)

    def _check_record(self) -> None:
        # A removal hides the record, then looks for sessions: it sees this one, or this one does not see the record.
        if os.path.exists(self._record):
            return
        self.__exit__()
        from envbox.errors import CommandNotStarted

        raise CommandNotStarted(
            "the environment was removed from the store while it was being entered",
            hint="run the same command again, which builds it anew",
        )

    def _write_hosts(self, folder: str) -> None:
        # The names that the host knows, and our own, which programs look up to find an address of theirs.
        os.mkdir(folder, 0o755)
        os.chmod(folder, 0o755)
        try:
            hosts = _read("/etc/hosts")
        except OSError:
            hosts = b"127.0.0.1 localhost\n::1 localhost\n"
        descriptor = os.open(os.path.join(folder, "hosts"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.write(descriptor, hosts.rstrip(b"\n") + b"\n127.0.1.1 " + self._name.encode() + b"\n")
        os.fchmod(descriptor, 0o644)
        os.close(descriptor)


def enter(session: Session, argv: Sequence[str]) -> int:
    """`session.run(argv)`, with a failed set-up in words for people. Raises HostError."""
    from envbox.sandbox.failure import LaunchError

    try:
        return session.run(argv)
    except LaunchError as error:
        from envbox.build_sandbox import explain_setup

        raise explain_setup(error.stage, error.errno, error.detail) from error


def _mount(  # noqa: PLR0913 - the plain form of a Mount, whose fields these are
    kind: str,
    target: str,
    source: str = "",
    *,
    access: str = "write",
    mode: int = 0o755,
    optional: bool = False,
) -> dict[str, Any]:
    return {
        "kind": kind, "target": target, "source": source, "access": access, "mode": mode, "optional": optional,
    }  # fmt: skip


def _umask() -> int:
    """The caller's, which the project's files are made with inside as well."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size + 1)
    finally:
        os.close(descriptor)


def sha256_of(data: bytes) -> str:
    """The sha256 of `data`, in hexadecimal digits."""
    # The interpreter's own module starts 2 ms faster than hashlib, which loads OpenSSL.
    for name in ("_sha2", "_sha256", "hashlib"):
        try:
            module = __import__(name)
        except ImportError:
            continue
        return str(module.sha256(data).hexdigest())
    raise AssertionError("hashlib is part of Python")


class _Scanner:
    """What json's own scanner asks of its caller."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012


def parse_json(text: str) -> Any:
    """`json.loads` without importing json, which loads `re` for 6 ms; by json where the scanner is not as expected."""
    try:
        from _json import make_scanner

        return make_scanner(_Scanner())(text, 0)[0]  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError, StopIteration):
        import json

        return json.loads(text)
