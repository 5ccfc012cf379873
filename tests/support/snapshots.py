"""A snapshot service on the loopback, with the layout and the manners of snapshot.debian.org.

with Snapshots(folder) as service:
    service.take(debian.folder, moment)
    service.archive + "/debian/20251102T000000Z/dists/..."   # redirects to the nearest state before
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from tests.support.server import Server, redirect, status

if TYPE_CHECKING:
    import datetime as dt

    from tests.support.server import Fault

_PATH = re.compile(r"/archive/([a-z-]+)/(\d{8}T\d{6}Z)/(.*)")


class Snapshots(Server):
    """`busy`: every so many requests one is answered 429 with Retry-After (0: none)."""

    def __init__(self, folder: str | os.PathLike[str], *, busy: int = 0) -> None:
        super().__init__(folder)
        self.busy = busy
        self._asked = 0

    @property
    def archive(self) -> str:
        """What `snapshot-mirror` names."""
        return f"{self.url}/archive"

    def take(self, world: str, moment: dt.datetime) -> str:
        """Keep all archives below the folder `world` as they are, as the state of `moment`. Returns its stamp."""
        stamp = moment.strftime("%Y%m%dT%H%M%SZ")
        for name in os.listdir(world):
            target = os.path.join(self.content, "archive", name, stamp)
            shutil.copytree(os.path.join(world, name), target, copy_function=os.link)
        return stamp

    def next_fault(self, path: str) -> Fault | None:
        planned = super().next_fault(path)
        match = _PATH.fullmatch(path)
        if planned or not match:
            return planned
        self._asked += 1
        if self.busy and self._asked % self.busy == 0:
            return status(429, retry_after=0.02)
        name, moment, rest = match.groups()
        folder = os.path.join(self.content, "archive", name)
        states = sorted(state for state in os.listdir(folder) if state <= moment) if os.path.isdir(folder) else []
        if not states or states[-1] == moment:
            return None
        return redirect(f"/archive/{name}/{states[-1]}/{rest}")
