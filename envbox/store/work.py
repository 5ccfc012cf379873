"""Work folders, locks and durability: nothing half-made can be mistaken for a layer."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import tempfile
import time
from typing import TYPE_CHECKING

from envbox.store.removal import remove_tree
from envbox.store.store import Store, explaining

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_SEALED = "sealed"
_BOOT = "boot"
_SETTLING = 60.0
WHOLE = "store"
"""The lock that stands for all of a store. Builds share it, removing excludes them; sessions need it never."""


@contextlib.contextmanager
def work_folder(store: Store, purpose: str) -> Iterator[str]:
    """A new folder below the store's tmp/, locked against `sweep`, removed at the end."""
    folder = tempfile.mkdtemp(prefix=f"{purpose}-", dir=store.path("tmp"))
    with _locked_folder(folder):
        try:
            with explaining(store.root):
                yield folder
        finally:
            remove_tree(folder)


@contextlib.contextmanager
def _locked_folder(folder: str) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep(store: Store) -> int:
    """Remove work folders whose owner is gone (killed, crashed). Returns how many."""
    removed = 0
    for entry in os.scandir(store.path("tmp")):
        try:
            if time.time() - entry.stat(follow_symlinks=False).st_ctime < _SETTLING:
                continue  # perhaps made just now, and about to be locked
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            remove_tree(entry.path)
            removed += 1
        finally:
            os.close(descriptor)
    return removed


@contextlib.contextmanager
def exclusive(store: Store, name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the store's lock `name`. `waiting` is called once if another process has it."""
    with _held(store, name, fcntl.LOCK_EX, waiting):
        yield


@contextlib.contextmanager
def building(store: Store, waiting: Callable[[], None]) -> Iterator[None]:
    """Meanwhile nothing is taken out of the store; any number of processes may do this at once."""
    with _held(store, WHOLE, fcntl.LOCK_SH, waiting):
        yield


@contextlib.contextmanager
def removing(store: Store, waiting: Callable[[], None]) -> Iterator[None]:
    """Meanwhile nobody builds: whatever nothing refers to now may be taken out of the store."""
    with _held(store, WHOLE, fcntl.LOCK_EX, waiting):
        yield


@contextlib.contextmanager
def _held(store: Store, name: str, operation: int, waiting: Callable[[], None]) -> Iterator[None]:
    with explaining(store.root):
        descriptor = os.open(store.path("locks", name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


def is_locked(folder: str) -> bool:
    """True if a living process works in the work folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _this_boot() -> str:
    with open(_BOOT_ID, encoding="ascii") as file:
        return file.read().strip()


def publish(folder: str, target: str) -> None:
    """Move a finished work folder to `target`. Another process's equal result stays, and ours goes."""
    with open(os.path.join(folder, _BOOT), "w", encoding="ascii") as file:
        file.write(_this_boot())
    if os.path.isdir(target) and not is_whole(target):
        # Torn by a crash of the host: never synced, and written in an earlier boot.
        doomed = f"{folder}.torn"
        os.rename(target, doomed)
        remove_tree(doomed)
    try:
        os.rename(folder, target)
    except OSError:
        if not is_whole(target):
            raise
        remove_tree(folder)


def is_whole(target: str) -> bool:
    """True if what was published at `target` is complete: synced, or written since the host last booted."""
    if os.path.exists(os.path.join(target, _SEALED)):
        return True
    try:
        with open(os.path.join(target, _BOOT), encoding="ascii") as file:
            return file.read() == _this_boot()
    except OSError:
        return False


def seal(store: Store, targets: list[str]) -> None:
    """Put what was published at `targets` on the disk for good, so that it outlives a crash of the host."""
    unsealed = [target for target in targets if not os.path.exists(os.path.join(target, _SEALED))]
    if not unsealed:
        return
    descriptor = os.open(store.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), store.root)
    finally:
        os.close(descriptor)
    for target in unsealed:
        with open(os.path.join(target, _SEALED), "w", encoding="ascii"):
            pass


def write_file(path: str, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data` at once: a reader sees the old file or the new one, also after a crash."""
    write_files([(path, data, mode)])


def write_files(files: Sequence[tuple[str, bytes, int]]) -> None:
    """Replace every (path, data, mode) as `write_file`, and none if one of them cannot be written."""
    temporaries: list[str] = []
    try:
        for path, data, mode in files:
            descriptor, temporary = tempfile.mkstemp(prefix=".envbox-", dir=os.path.dirname(path))
            temporaries.append(temporary)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
        for temporary, (path, _, _) in zip(temporaries, files, strict=True):
            os.replace(temporary, path)
    except BaseException:
        for temporary in temporaries:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise
