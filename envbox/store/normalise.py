"""One table of what a build leaves behind by accident, and its cure.

Rows follow the survey of what breaks reproducibility in Debian root file systems: random keys and ids, logs,
previous states, caches of inode numbers. Times are clamped for every file, and owners come from their record.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from envbox.formats import jks
from envbox.sandbox.owners import ATTRIBUTE
from envbox.store import manifest
from envbox.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envbox.store.manifest import Entry
    from envbox.store.view import View

REMOVED = (
    "var/cache/ldconfig/aux-cache",  # inode numbers and times of libraries
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/apt/*",
    "var/log/fontconfig.log",  # in the order of the file system
    "var/lib/dpkg/*-old",  # the state before the last package
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/dpkg/updates/*",
    "var/cache/debconf/*-old",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "etc/.pwd.lock",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*",
    "var/lib/apt/lists/*",
    "var/lib/dbus/machine-id",
    "etc/ssh/ssh_host_*_key",  # private keys that every copy of the environment would share
    "etc/ssh/ssh_host_*_key.pub",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "etc/apt/trustdb.gpg",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/catalog/database",
    "etc/console-setup/cached_*",
    "usr/share/info/dir.old",
    "run/*",
    "tmp/*",
    "root/.cache",
)
"""Paths, as shell patterns that do not cross folders, that no layer has."""

EMPTIED = (
    "etc/machine-id",
    "var/lib/dpkg/triggers/Unincorp",  # without it the next dpkg activates every trigger of every package
)
"""Files that must exist and must say nothing."""

REDATED = ("etc/ssl/certs/java/cacerts",)
"""Java key stores, whose entries have the time they were made."""

INHERITED = frozenset({"etc/shadow", "etc/gshadow"})
"""Rewritten with the owner that stat(2) told of the old file, which in a build is root for every file."""

_OVERLAY_ATTRIBUTES = "user.overlay."
_KEPT_ATTRIBUTES = frozenset({"user.overlay.opaque"})


class Times(NamedTuple):
    """Nothing keeps a time after `epoch`, nor one since `started`, which a host's clock may put before it."""

    epoch: int
    started: float


def normalise(tree: str, owners: Mapping[str, tuple[int, int]], below: View, times: Times) -> list[Entry]:
    """Apply the table to the upper folder of a build over the layers `below`; returns its entries."""
    _apply(tree, REMOVED, remove_tree)
    _apply(tree, EMPTIED, _empty)
    _apply(tree, REDATED, lambda path: _redate(path, times.epoch))
    _drop_links_to(tree, "etc/ssl/certs", "ssl-cert-snakeoil.pem")
    entries = [_inherited(_clamped(entry, times), below) for entry in manifest.scan(tree, owners)]
    for entry in reversed(entries):
        full = os.path.join(tree, entry.path)
        _strip_attributes(full, entry)
        if entry.path in INHERITED and (entry.uid or entry.gid):
            os.setxattr(full, ATTRIBUTE, b"%d:%d" % (entry.uid, entry.gid))
        if entry.kind not in {"whiteout", "hardlink"}:
            os.utime(full, (entry.mtime, entry.mtime), follow_symlinks=False)
    return [entry for entry in entries if entry.kind != "socket"]


def _apply(tree: str, patterns: tuple[str, ...], action: Callable[[str], None]) -> None:
    for pattern in patterns:
        folder, _, name = pattern.rpartition("/")
        for found in fnmatch.filter(_names(tree, folder), name):
            action(os.path.join(tree, folder, found))


def _names(tree: str, folder: str) -> list[str]:
    """What is in a folder of the tree; nothing if a link on the way could lead out of it."""
    full = os.path.join(tree, folder)
    if not os.path.isdir(full) or os.path.realpath(full) != os.path.join(os.path.realpath(tree), folder):
        return []
    return os.listdir(full)


def _empty(path: str) -> None:
    if os.path.isfile(path) and not os.path.islink(path):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        os.chmod(path, 0o600)  # some deny writing to their owner
        os.truncate(path, 0)
        os.chmod(path, mode)


def _redate(path: str, epoch: int) -> None:
    if os.path.islink(path) or not os.path.isfile(path):
        return
    with open(path, "r+b") as file:
        content = jks.with_date(file.read(), epoch)
        if content is not None:
            file.seek(0)
            file.write(content)


def _drop_links_to(tree: str, folder: str, target: str) -> None:
    for name in _names(tree, folder):
        full = os.path.join(tree, folder, name)
        if os.path.islink(full) and os.readlink(full).endswith(target):
            os.unlink(full)


def _clamped(entry: Entry, times: Times) -> Entry:
    if entry.kind == "whiteout":
        return entry._replace(mode=0o644, uid=0, gid=0, mtime=0)
    if entry.mtime > times.epoch or entry.mtime >= int(times.started):
        return entry._replace(mtime=times.epoch)
    return entry


def _inherited(entry: Entry, below: View) -> Entry:
    lower = below.get(entry.path) if entry.path in INHERITED else None
    return entry._replace(uid=lower.uid, gid=lower.gid) if lower else entry


def _strip_attributes(full: str, entry: Entry) -> None:
    if entry.kind in {"whiteout", "symlink"}:
        return
    for name in os.listxattr(full, follow_symlinks=False):
        if name.startswith(_OVERLAY_ATTRIBUTES) and name not in _KEPT_ATTRIBUTES:
            os.removexattr(full, name)
