"""Files as they were at a revision of a git repository."""

from __future__ import annotations

from envbox.errors import LockInvalid
from envbox.host import run


def read(folder: str, revision: str, name: str) -> bytes:
    """The file `name` of `folder` as it is at `revision`. Raises LockInvalid, CommandNotStarted without git."""
    # cat-file, not show: no filter or program that the repository configures is run.
    done = run.run(["git", "-C", folder, "cat-file", "blob", f"{revision}:./{name}"], capture=True)
    if revision.startswith("-") or done.status != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        raise LockInvalid(
            f"git has no {name} of {revision!r} for {folder}: {reason}",
            hint="name a revision that has one, the path of a lock, or a layer of the store by its digest",
        )
    return done.stdout
