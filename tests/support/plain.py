"""Who runs envbox in a test: the user who runs the tests, and a plain one without any subordinate ids."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PLAIN = "envbox-plain"
REPOSITORY = Path(__file__).resolve().parents[2]
# How this machine reaches the network; all else of the environment is the test's to choose.
_PASSED = (
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
_SUBORDINATE = ("/etc/subuid", "/etc/subgid")


class NoPlainUser(Exception):
    """Why nobody but the user who runs the tests can run envbox here."""


@dataclass(frozen=True)
class Person:
    """A user with an interpreter and an envbox that this user can read. `account`: whom the tests become for it."""

    name: str
    python: str
    modules: str
    home: str
    account: str | None = None
    _identity: dict[str, Any] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """What a fresh login of this user would have."""
        passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
        return {**passed, "PATH": os.defpath, "HOME": self.home, "PYTHONPATH": self.modules, "LANG": "C.UTF-8"}

    def identity(self) -> dict[str, Any]:
        """What subprocess needs to become this user, with no groups left of the one before."""
        return dict(self._identity)

    def own(self, path: str | os.PathLike[str]) -> None:
        """Give a path, and everything below it, to this user."""
        if self.account is None:
            return
        record = pwd.getpwnam(self.account)
        os.chown(path, record.pw_uid, record.pw_gid, follow_symlinks=False)
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                _give(os.path.join(folder, name), record)

    @property
    def uid(self) -> int:
        """This user's number."""
        return pwd.getpwnam(self.account).pw_uid if self.account else os.geteuid()


def _give(path: str, record: pwd.struct_passwd) -> None:
    mode = os.lstat(path).st_mode
    os.chown(path, record.pw_uid, record.pw_gid, follow_symlinks=False)
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        os.chmod(path, stat.S_IMODE(mode))  # which chown(2) takes away


def runner(folder: Path, modules: Path) -> Person:
    """The user who runs the tests."""
    return _this_user("runner", folder, modules)


def plain(folder: Path, modules: Path) -> Person:
    """A user without subordinate ids: the one who runs the tests, unless that is root. Raises NoPlainUser."""
    if os.geteuid() != 0:
        return _this_user("plain", folder, modules)
    _have_account()
    identity = {"user": PLAIN, "group": PLAIN, "extra_groups": []}
    python = _python(identity)
    home = folder / "home-plain"
    home.mkdir()
    person = Person("plain", python, str(modules), str(home), PLAIN, identity)
    person.own(home)
    return person


def _this_user(name: str, folder: Path, modules: Path) -> Person:
    home = folder / f"home-{name}"
    home.mkdir()
    return Person(name, sys.executable, str(modules), str(home))


def _have_account() -> None:
    try:
        pwd.getpwnam(PLAIN)
    except KeyError:
        done = subprocess.run(["useradd", "--create-home", PLAIN], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NoPlainUser(f"no user can be made: {done.stderr.strip()}") from None
    for path in _SUBORDINATE:
        with contextlib.suppress(FileNotFoundError):
            text = Path(path).read_text(encoding="utf-8")
            kept = re.sub(rf"^{PLAIN}:.*\n", "", text, flags=re.MULTILINE)
            if kept != text:
                Path(path).write_text(kept, encoding="utf-8")


def _python(identity: dict[str, Any]) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    script = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    names = (f"python{version}", "python3")
    for candidate in (
        sys.executable,
        *(f"{place}/{name}" for place in ("/usr/bin", "/usr/local/bin") for name in names),
    ):
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [candidate, "-I", "-c", script], capture_output=True, text=True, check=False, cwd="/", **identity
            )
            if done.stdout.strip() == version:
                return candidate
    raise NoPlainUser(f"no Python {version} that the user {PLAIN} may execute; install one below /usr")


def copy_modules(target: Path) -> Path:
    """envbox and what it imports, as the tests have them, where everybody can read it."""
    shutil.copytree(REPOSITORY / "envbox", target / "envbox", ignore=shutil.ignore_patterns("__pycache__"))
    project = _toml((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for distribution in _closure(project["dependencies"]):
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and file.suffix != ".pyc" and source.is_file():
                place = target / file
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, place)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o644)
    return target


def _toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _closure(requirements: list[str]) -> list[metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    pending = list(requirements)
    while pending:
        requirement = Requirement(pending.pop())
        name = requirement.name.lower().replace("_", "-")
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[name] = metadata.distribution(requirement.name)
        pending += found[name].requires or []
    return list(found.values())
