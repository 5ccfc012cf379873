"""Debian, from release 11 on."""

from __future__ import annotations

from envbox.distros.distro import Distro, Release, Suite


def _stable(codename: str) -> Release:
    return Release(
        codename,
        (
            Suite("main", codename),
            Suite("updates", f"{codename}-updates"),
            Suite("security", f"{codename}-security", security=True),
        ),
    )


def _rolling(codename: str) -> Release:
    return Release(codename, (Suite("main", codename),))


DEBIAN = Distro(
    name="debian",
    manager="apt",
    url="http://deb.debian.org/debian",
    security_url="http://deb.debian.org/debian-security",
    snapshot_url="http://snapshot.debian.org/archive",
    snapshot_folder="debian",
    snapshot_security_folder="debian-security",
    old_url="http://archive.debian.org/debian",
    old_security_url="http://archive.debian.org/debian-security",
    components=("main",),
    releases={
        "11": _stable("bullseye"),
        "12": _stable("bookworm"),
        "13": _stable("trixie"),
        "forky": _rolling("forky"),
        "sid": _rolling("sid"),
    },
    base_packages=("apt", "ca-certificates"),
    # init-system-helpers of Debian 12 names `usrmerge` first; the layout that it would make is ours already.
    preferred=("usr-is-merged",),
    links={"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"},
    keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
    python="python3",
)
