"""Where envbox's environments differ from what mmdebstrap makes of the same packages, on purpose, and why."""

from __future__ import annotations

from typing import NamedTuple

ABSENT, PRESENT, OTHER = "only mmdebstrap has it", "only envbox has it", "differs"


class Row(NamedTuple):
    """How the paths that a shell pattern names may differ. `*` crosses folders."""

    kind: str
    pattern: str
    reason: str


ROWS = (
    Row(OTHER, "etc/machine-id", "mmdebstrap makes it anew, and so writable; empty in both"),
    Row(
        OTHER,
        "etc/systemd/system/timers.target.wants/apt-daily*.timer",
        "apt is configured in the base, before systemd",
    ),
    Row(ABSENT, "dev/*", "device nodes need privileges; a session has a fresh /dev"),
    Row(ABSENT, "etc/apt/sources.list", "mmdebstrap writes its command line's sources there"),
    Row(PRESENT, "etc/apt/sources.list.d/debian.sources", "the sources, in the format of Debian's installer"),
    Row(ABSENT, "etc/hostname", "mmdebstrap copies the building host's; a session has its environment's name"),
    Row(ABSENT, "etc/resolv.conf", "mmdebstrap copies the building host's; a session has its host's"),
    Row(ABSENT, "etc/.resolv.conf.systemd-resolved.bak", "as above, put aside by systemd-resolved"),
    Row(ABSENT, "etc/fstab", "mmdebstrap writes an empty one; an environment has no file systems to mount"),
    Row(ABSENT, "var/lib/dpkg/arch", "mmdebstrap writes the architecture that dpkg assumes without the file"),
    Row(ABSENT, "var/lib/apt/extended_states", "marks of what apt chose, of which a base has none"),
    Row(OTHER, "var/lib/apt/extended_states", "as above, and sorted: compared by a test"),
    Row(
        PRESENT,
        "var/cache/fontconfig/*-le64.cache-*",
        "fontconfig drops caches of younger folders (#864082)",
    ),
    Row(OTHER, "etc/apt/apt.conf.d/02autoremove-postgresql", "names the release of the cluster, which is not there"),
    Row(
        OTHER,
        "usr/lib/python3/dist-packages/apt_listchanges/__pycache__/*",
        "dated: its questions are asked, and import it, before it is configured",
    ),
    Row(
        OTHER,
        "usr/lib/python3/dist-packages/_distutils_hack/__pycache__/*",
        "dated: whatever Python starts first imports it, before it is compiled",
    ),
    Row(OTHER, "usr/share/info/dir", "in the order of installation, which is by name here"),
    Row(ABSENT, "var/cache/man/*", "the index that man-db makes in Debian 11 holds the time; man does without"),
    Row(ABSENT, "var/cache/fontconfig/*-le64.cache-7", "in Debian 11 with random names"),
    Row(PRESENT, "var/cache/fontconfig/*-le64.cache-7", "as above"),
    Row(OTHER, "usr/share/fonts/*.uuid", "as above"),
    Row(OTHER, "usr/local/share/fonts/.uuid", "as above"),
    Row(OTHER, "usr/lib/python3*.cpython-39.pyc", "in Debian 11 with sets in a random order, here in a fixed one"),
    Row(OTHER, "var/cache/man/index.db", "pages of alternatives as they were when man-db first looked"),
    Row(OTHER, "var/lib/dpkg/info/littler.list", "r-cran-littler has the same link: whose it is depends on the order"),
    Row(OTHER, "var/lib/ghc/package.conf.d/package.cache", "in the order of the file system, which is by name here"),
    Row(OTHER, "usr/share/python3/debpython/__pycache__/*", "dated, or by hash, after which script imports it first"),
)
