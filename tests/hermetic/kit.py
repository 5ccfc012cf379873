"""A small Debian of our own on the loopback, and projects that are built from it by the whole of envbox."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import subprocess
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbox.host.fetch import Download, Fetcher
from envbox.libraries.uv import UV
from envbox.lock import load as load_lock
from envbox.store import manifest
from envbox.store.removal import remove_tree
from envbox.store.store import FOLDERS
from envbox.store.view import View
from envbox.values import Architecture
from tests.support.archive import Archive, DebianWorld
from tests.support.base import real_base_debs
from tests.support.debs import DebRecipe
from tests.support.world import Result, World, verify_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envbox.lock import Lock
    from envbox.store.manifest import Entry
    from tests.support.plain import Person
    from tests.support.server import Server

# The command line as it is, but for a network that is given up sooner and a clock that may be wrong.
_DRIVER = """
import os, sys, time
from envbox.host import fetch
fetch.Fetcher.__init__.__kwdefaults__.update(stall=1.0, backoff=0.02)
offset, clock = float(os.environ.pop("TEST_CLOCK_OFFSET", "0")), time.time
time.time = lambda: clock() + offset
from envbox.__main__ import main
sys.exit(main())
"""


class Debian(DebianWorld):
    """One that can be copied: the copy starts with the same packages under the same key."""

    def copy(self, folder: Path) -> Debian:
        """Its own archives in a new folder; what is added to it is not added here."""
        made = copy.copy(self)
        made.folder = str(folder)
        made.main = _copied(self.main, folder / "debian")
        made.security = _copied(self.security, folder / "debian-security")
        return made


def _copied(archive: Archive, folder: Path) -> Archive:
    made = copy.copy(archive)
    made.folder = str(folder)
    made._packages = defaultdict(dict, {suite: dict(packages) for suite, packages in archive._packages.items()})
    if os.path.isdir(f"{archive.folder}/pool"):
        shutil.copytree(f"{archive.folder}/pool", folder / "pool", copy_function=os.link)
    return made


def real_debian(folder: Path) -> Debian:
    """With the packages of a real base, and Python."""
    debian = Debian(folder)
    for path in real_base_debs("13"):
        debian.main.include(path)
    debian.publish()
    return debian


def uv_blob() -> Path:
    """The uv that envbox installs libraries with, downloaded once."""
    tool = UV[Architecture.AMD64]
    folder = Path(os.environ.get("ENVBOX_TEST_CACHE") or os.path.expanduser("~/.cache/envbox-tests")) / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / tool.digest.hex
    if not path.exists():
        temporary = f"{path}.{os.getpid()}"
        with Fetcher() as fetcher:
            fetcher.download(Download((tool.source,), tool.size, tool.digest, "uv"), temporary, lambda _amount: None)
        os.replace(temporary, path)
    return path


@dataclass
class Case(World):
    """A project that is built from a loopback archive of its own."""

    debian: Debian = field(default=None)  # type: ignore[assignment]
    server: Server = field(default=None)  # type: ignore[assignment]

    def command(self, *arguments: str) -> list[str]:
        """The argv of an envbox command."""
        return [*self.wrapper, self.person.python, "-c", _DRIVER, *arguments]

    def add(self, *recipes: DebRecipe | bytes) -> None:
        """Put packages into the archive, and publish it."""
        for recipe in recipes:
            self.debian.main.add(recipe)
        self.debian.publish()

    def spec(self, *packages: str, base: Mapping[str, str] | None = None, more: str = "") -> Path:
        """Write envbox.toml. `more` comes at its end."""
        facts = {
            "name": "debian:13",
            "mirror": f"{self.server.url}/debian",
            "security-mirror": f"{self.server.url}/debian-security",
            "key": "team.asc",
            **(base or {}),
        }
        table = ", ".join(f'{key} = "{value}"' for key, value in facts.items() if value)
        names = ", ".join(f'"{name}"' for name in packages)
        self.write("team.asc", self.debian.key.decode())
        return self.write("envbox.toml", f'name = "demo"\nbase = {{ {table} }}\npackages = [{names}]\n{more}')

    def install(self, *recipes: DebRecipe, status: int | None = 0) -> Result:
        """Lock and build an environment that has exactly these packages."""
        self.add(*recipes)
        self.spec(*(recipe.name for recipe in recipes))
        return self.envbox("lock", status=status)

    def fails(self, *arguments: str, code: str, status: int, parts: tuple[str, ...] = (), **options: Any) -> str:
        """Run an envbox command that must fail in exactly this way; returns what it told."""
        result = self.envbox(*arguments, status=None, **options)
        return told(result, code, status, *parts)

    def read_lock(self) -> Lock:
        """What is locked."""
        return load_lock(str(self.lock))

    def digests(self) -> list[str]:
        """Of all layers that are locked."""
        lock = self.read_lock()
        layers = [digest for group in lock.groups for digest in (group.unpacked, group.configured)]
        layers += [part.layer for part in (*lock.libraries, *lock.steps)]
        return [str(digest) for digest in layers]

    def entries(self) -> dict[str, Entry]:
        """What the environment shows, by path."""
        folders = [self.store / "layers-v1" / digest.removeprefix("sha256:") for digest in self.digests()]
        return {entry.path: entry for entry in View(manifest.read(str(folder)) for folder in folders).entries()}

    def content(self, path: str) -> bytes:
        """Of a file of the environment."""
        for digest in reversed(self.digests()):
            found = self.store / "layers-v1" / digest.removeprefix("sha256:") / "tree" / path
            if found.is_symlink() or found.exists():
                return found.read_bytes()
        raise AssertionError(f"no layer has {path}")

    def forget_layers(self, names: tuple[str, ...] = ("layers-v1", "packages-v1", "environments-v1")) -> None:
        """As if what only this project needs had never been built."""
        for name in names:
            for entry in os.scandir(self.store / name):
                if not entry.is_symlink():
                    remove_tree(entry.path)

    def forget_keys(self) -> None:
        """As if nobody knew what the layers that only this project needs were made from."""
        for entry in os.scandir(self.store / "keys-v1"):
            layer = Path(entry.path).read_text(encoding="ascii").strip().removeprefix("sha256:")
            if not (self.store / "layers-v1" / layer).is_symlink():
                os.unlink(entry.path)

    def verify_no_blob(self) -> None:
        """No blob is here under a name that it does not deserve."""
        for entry in os.scandir(self.store / "blobs/sha256"):
            if not entry.is_symlink() and not entry.name.endswith(".part"):
                assert sha256(Path(entry.path).read_bytes()) == entry.name

    def verify(self) -> None:
        """The store holds nothing but what it promises; what is shared with other tests was checked once."""
        view = self.folder.parent / "verified"
        shutil.rmtree(view, ignore_errors=True)
        for name in FOLDERS:
            (view / name).mkdir(parents=True)
            for entry in os.scandir(self.store / name):
                if not entry.is_symlink() or name in {"tmp", "keys-v1"}:
                    (view / name / entry.name).symlink_to(entry.path)
        for entry in os.scandir(self.store / "layers-v1"):
            if entry.is_symlink() and (self.store / "keys-v1").exists():
                (view / "layers-v1" / entry.name).mkdir()
        _verify_own(view)

    @contextmanager
    def started(self, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """An envbox command in the background, ended at the end."""
        options = {**self.options(), **options}
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def _verify_own(view: Path) -> None:
    shared = [entry for entry in os.scandir(view / "layers-v1") if not entry.is_symlink()]
    keys = {entry.name: Path(entry.path).read_text(encoding="ascii") for entry in os.scandir(view / "keys-v1")}
    for entry in shared:
        os.rmdir(entry.path)
        for name, digest in keys.items():
            if digest.strip() == f"sha256:{entry.name}":
                (view / "keys-v1" / name).unlink()
    verify_store(view)


def told(result: Result, code: str, status: int, *parts: str) -> str:
    """What a command said that failed as it should: with this code and exit status, in words, with all `parts`."""
    assert result.status == status, str(result)
    assert "Traceback" not in result.errors, str(result)
    assert f"[{code}]" in result.errors, str(result)
    for part in parts:
        assert part in result.errors, f"{part!r} is not in:\n{result}"
    return result.errors


def wait_for(happened: Any, seconds: float = 30.0) -> Any:
    """What `happened` returns once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = happened()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def fill_store(template: Path, store: Path, person: Person) -> None:
    """A store that has what another one has, for next to nothing: what never changes is linked to."""
    for name in FOLDERS:
        (store / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("layers-v1", "packages-v1", "blobs/sha256"):
        for entry in os.scandir(template / name):
            (store / name / entry.name).symlink_to(entry.path)
    for entry in os.scandir(template / "keys-v1"):
        shutil.copy(entry.path, store / "keys-v1" / entry.name)
    store.chmod(0o700)
    person.own(store)


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


__all__ = ["Case", "DebRecipe", "Debian", "fill_store", "real_debian", "sha256", "told", "uv_blob", "wait_for"]
