"""The kernel that scripts of a build are told of, whatever the host's own is: some write its name down."""

from __future__ import annotations

import os

RELEASE = "6.12.0"
VERSION = "#1 SMP"
FILES = {
    "/proc/sys/kernel/osrelease": f"{RELEASE}\n",
    "/proc/version": f"Linux version {RELEASE} {VERSION}\n",
}
"""Where else than in uname(2) a program reads it (proc(5))."""

_FIELD = 65  # linux/utsname.h: __NEW_UTS_LEN + 1


def name() -> bytes:
    """What uname(2) fills in: system, host, release, version, machine, domain."""
    here = os.uname()
    fields = (here.sysname, here.nodename, RELEASE, VERSION, here.machine, "(none)")
    return b"".join(field.encode()[: _FIELD - 1].ljust(_FIELD, b"\0") for field in fields)
