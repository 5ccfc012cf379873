"""What a build leaves behind by accident, and its cure: the rows of `normalise_table`, times and owners.

Times are clamped for every file, and owners come from their record.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from envbox.store import manifest
from envbox.store.normalise_table import ROWS, Row
from envbox.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envbox.store.manifest import Entry

_OVERLAY_ATTRIBUTES = "user.overlay."
_KEPT_ATTRIBUTES = frozenset({"user.overlay.opaque"})


class Times(NamedTuple):
    """Nothing keeps a time after `epoch`, nor one since `started`, which a host's clock may put before it."""

    epoch: int
    started: float


def normalise(
    tree: str, owners: Mapping[str, tuple[int, int]], times: Times, rows: Sequence[Row] = ROWS
) -> list[Entry]:
    """Apply the table to the upper folder of a build; returns its entries."""
    for row in rows:
        _apply(tree, row, times.epoch)
    entries = [_clamped(entry, times) for entry in manifest.scan(tree, owners)]
    for entry in reversed(entries):
        full = os.path.join(tree, entry.path)
        _strip_attributes(full, entry)
        if entry.kind not in {"whiteout", "hardlink"}:
            os.utime(full, (entry.mtime, entry.mtime), follow_symlinks=False)
    return [entry for entry in entries if entry.kind != "socket"]


def _apply(tree: str, row: Row, epoch: int) -> None:
    for path in _matches(tree, "", row.pattern.split("/")):
        full = os.path.join(tree, path)
        if row.link:
            if os.path.islink(full) and fnmatch.fnmatchcase(os.readlink(full), row.link):
                os.unlink(full)
        elif row.content is None:
            remove_tree(full)
        elif os.path.isfile(full) and not os.path.islink(full):
            _rewrite(full, row, epoch)


def _matches(tree: str, folder: str, parts: list[str]) -> list[str]:
    """The paths that a pattern names; no link on the way is followed, which could lead out of the tree."""
    full = os.path.join(tree, folder)
    if not os.path.isdir(full) or os.path.islink(full):
        return []
    found = [os.path.join(folder, name) for name in sorted(fnmatch.filter(os.listdir(full), parts[0]))]
    return found if len(parts) == 1 else [path for place in found for path in _matches(tree, place, parts[1:])]


def _rewrite(path: str, row: Row, epoch: int) -> None:
    assert row.content, "other rows remove"
    with open(path, "rb") as file:
        before = file.read()
    after = row.content(before, epoch)
    if after != before:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        os.chmod(path, 0o600)  # some deny writing to their owner
        with open(path, "r+b") as file:
            file.write(after)
            file.truncate()
        os.chmod(path, mode)


def _clamped(entry: Entry, times: Times) -> Entry:
    if entry.kind == "whiteout":
        return entry._replace(mode=0o644, uid=0, gid=0, mtime=0)
    if entry.mtime > times.epoch or entry.mtime >= int(times.started):
        return entry._replace(mtime=times.epoch)
    return entry


def _strip_attributes(full: str, entry: Entry) -> None:
    if entry.kind in {"whiteout", "symlink"}:
        return
    for name in os.listxattr(full, follow_symlinks=False):
        if name.startswith(_OVERLAY_ATTRIBUTES) and name not in _KEPT_ATTRIBUTES:
            os.removexattr(full, name)
