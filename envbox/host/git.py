"""Files as they were at a revision of a git repository."""

from __future__ import annotations

import os

from envbox.errors import LockInvalid
from envbox.host import run

# A missing object of a partial clone would be fetched by a program that the repository configures (core.sshCommand,
# a remote helper): git 2.39.4 and newer obey the first, all others refuse a protocol that is not on the list.
_OFFLINE = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_TERMINAL_PROMPT": "0"}
_HINT = "name a revision that has one, the path of a lock, or a layer of the store by its digest"


def read(folder: str, revision: str, name: str) -> bytes:
    """The file `name` of `folder` as it is at `revision`, from the disk. Raises LockInvalid, CommandNotStarted."""
    if revision.startswith("-"):
        raise LockInvalid(f"{revision!r} is no revision: it begins with a -", hint=_HINT)
    # cat-file, not show: it runs no filter and no textconv that the repository configures.
    command = ["git", "-C", folder, "cat-file", "blob", f"{revision}:./{name}"]
    done = run.run(command, environment={**os.environ, **_OFFLINE}, capture=True)
    if done.status != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        raise LockInvalid(f"git has no {name} of {revision!r} for {folder}: {reason}", hint=_HINT)
    return done.stdout
