"""dpkg's database as it would be had dpkg unpacked the packages itself (dpkg(1), deb-triggers(5))."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from envbox.managers.apt.package_tree import PackageTree

ADMIN = "var/lib/dpkg"
_NOAWAIT = {"interest": "", "interest-await": "", "interest-noawait": "/noawait"}


def seed(
    packages: Sequence[PackageTree],
    automatic: Iterable[tuple[str, str]],
    lower: dict[str, str],
    hidden: Collection[str] = (),
) -> dict[str, str]:
    """Database files (path -> text) after `packages` were unpacked over a root whose files are `lower`.

    `automatic` are name and architecture of those that nobody asked for by name, `hidden` the configuration files
    that dpkg shall put into place.
    """
    paragraphs = [_unpacked(package, hidden) for package in packages]
    files = {f"{ADMIN}/status": _join(lower.get(f"{ADMIN}/status", ""), paragraphs)}
    files.update(_interests(packages, lower))
    if not lower:
        files[f"{ADMIN}/diversions"] = ""
        files[f"{ADMIN}/info/format"] = "1\n"
        files[f"{ADMIN}/triggers/Unincorp"] = ""  # its absence would mean a root from before there were triggers
    marks = [f"Package: {name}\nArchitecture: {arch}\nAuto-Installed: 1" for name, arch in automatic]
    if marks:
        files["var/lib/apt/extended_states"] = _join(lower.get("var/lib/apt/extended_states", ""), marks)
    return files


READS = (f"{ADMIN}/status", f"{ADMIN}/triggers/File", "var/lib/apt/extended_states")
"""What `seed` wants to know of the root below, besides `triggers/NAME`."""


def _join(before: str, paragraphs: Iterable[str]) -> str:
    parts = [before.rstrip("\n")] if before.strip() else []
    return "\n\n".join([*parts, *paragraphs]) + "\n\n"


def _unpacked(package: PackageTree, hidden: Collection[str]) -> str:
    lines = package.control.strip("\n").split("\n")  # a description may hold what else splits lines
    lines.insert(1, "Status: install ok unpacked")
    if package.conffiles:
        lines.append("Conffiles:")
        # Where the final file is in place already, dpkg keeps it: its hash is known, there is nothing to ask.
        known = [(path, "newconffile" if path in hidden else md5, flag) for path, md5, flag in package.conffiles]
        lines += [f" {path} {md5}{' remove-on-upgrade' if flag else ''}" for path, md5, flag in known]
    return "\n".join(lines)


def _interests(packages: Sequence[PackageTree], lower: dict[str, str]) -> dict[str, str]:
    files: dict[str, list[str]] = {}
    for package in packages:
        for directive, trigger in package.triggers:
            if directive not in _NOAWAIT:
                continue
            suffix = _NOAWAIT[directive]
            if trigger.startswith("/"):
                files.setdefault("File", []).append(f"{trigger} {package.info_name}{suffix}\n")
            else:
                files.setdefault(trigger, []).append(f"{package.info_name}{suffix}\n")
    folder = f"{ADMIN}/triggers"
    return {
        f"{folder}/{name}": lower.get(f"{folder}/{name}", "") + "".join(sorted(lines)) for name, lines in files.items()
    }


def explicit_triggers(packages: Iterable[PackageTree]) -> set[str]:
    """Names of the triggers, not files, that some of `packages` want to hear."""
    return {
        trigger
        for package in packages
        for directive, trigger in package.triggers
        if directive in _NOAWAIT and not trigger.startswith("/")
    }


def file_triggers(interests: str, packages: Sequence[PackageTree]) -> list[tuple[str, str]]:
    """Which file triggers of packages already configured fire, and by which package: (trigger, package)."""
    wanted = sorted({line.rpartition(" ")[0] for line in interests.splitlines() if line})
    fired = []
    for trigger in wanted:
        prefix = trigger.lstrip("/")
        for package in packages:
            if any(_below(entry.path, prefix) for entry in package.entries if not entry.is_directory):
                fired.append((trigger, package.name))
                break
    return fired


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith((f"{prefix}/", f"usr/{prefix}/"))


def parse_diversions(text: str) -> dict[str, tuple[str, str]]:
    """/var/lib/dpkg/diversions, three lines each: from, to, the diverting package (`:` if local)."""
    lines = text.split("\n")
    triples = zip(lines[0::3], lines[1::3], lines[2::3], strict=False)
    return {os.path.normpath(source).lstrip("/"): (to.lstrip("/"), by) for source, to, by in triples}
