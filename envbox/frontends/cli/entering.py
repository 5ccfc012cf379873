"""What `run` and `shell` share when the environment is not built yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbox import api
from envbox.frontends.cli.progress import reporter
from envbox.session import Session, enter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def build_and_enter(argv_of: Callable[[Session], Sequence[str]], *, root: bool) -> int:
    """Build what is missing, then enter in this process's terminal; returns the exit status."""
    with reporter() as watcher:
        session = api.load(reporter=watcher).session(root=root)
    return enter(session, argv_of(session))
