r"""The file that lists the owners of what cannot carry an extended attribute: links, pipes, sockets.

One line each: "uid:gid path", the path relative to the root, with a backslash as \\ and a newline as \n.
"""

from __future__ import annotations

import os

ATTRIBUTE = "user.envbox.owner"
"""The extended attribute that holds an owner, as `uid:gid`."""


def format_owner(path: bytes, uid: int, gid: int) -> bytes:
    """One line of the file."""
    return b"%d:%d %s\n" % (uid, gid, path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n"))


def parse_owners(data: bytes) -> dict[str, tuple[int, int]]:
    """Path -> (uid, gid) of everything the file lists."""
    owners = {}
    for line in data.split(b"\n")[:-1]:
        ids, _, path = line.partition(b" ")
        uid, _, gid = ids.partition(b":")
        plain = b"\\".join(part.replace(b"\\n", b"\n") for part in path.split(b"\\\\"))
        owners[os.fsdecode(plain)] = (int(uid), int(gid))
    return owners
