"""Caches that a root's own tools write anew once all packages are configured, because triggers wrote them by accident.

What needs no tool to be put right is in envbox.store.normalise_table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbox.managers.apt.package_tree import PackageTree


class Settling(NamedTuple):
    """Commands of sh, run where `tool` and `path` are there, after a group that `ships` something below these paths."""

    tool: str
    path: str
    ships: tuple[str, ...]
    reason: str
    commands: tuple[str, ...]


SETTLINGS = (
    Settling(
        "fc-cache",
        "/var/cache/fontconfig",
        ("etc/fonts/", "usr/share/fontconfig/", "usr/share/fonts/"),
        "fontconfig drops a cache whose folder is younger than SOURCE_DATE_EPOCH: the folders are dated first",
        (
            # Before release 2.14 a file in each folder holds the random name of its cache.
            "find /usr/share/fonts /usr/local/share/fonts -name .uuid 2>/dev/null | while read -r file; do",
            '  printf %s "$file" | md5sum |',
            r"    sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/' |",
            '    tr -d "\\n" >"$file"',
            "done",
            "for folder in /usr/share/fonts /usr/local/share/fonts; do",
            '  if [ -d "$folder" ]; then',
            '    find "$folder" -type d -newermt "@$SOURCE_DATE_EPOCH" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +',
            "  fi",
            "done",
            "rm -rf /var/cache/fontconfig/*",
            "fc-cache -s -f || true",
        ),
    ),
    Settling(
        "install-info",
        "/usr/share/info/dir",
        ("usr/share/info/", "usr/bin/install-info"),
        "the directory of info pages lists them in the order of the file system: here by name",
        (
            "rm -f /usr/share/info/dir /usr/share/info/dir.old",
            "find /usr/share/info -type f ! -name 'dir*' | LC_ALL=C sort | while read -r file; do",
            '  install-info "$file" /usr/share/info/dir || true',
            "done",
        ),
    ),
    Settling(
        "ghc-pkg",
        "/var/lib/ghc/package.conf.d/package.cache",
        ("var/lib/ghc/",),
        "ghc-pkg lists its packages in the order of the file system: here they are registered by name",
        (
            "ghc-pkg init /tmp/packages",
            "find /var/lib/ghc/package.conf.d -name '*.conf' | LC_ALL=C sort | while read -r file; do",
            '  ghc-pkg --global-package-db=/tmp/packages register --force "$file" >/dev/null 2>&1 || true',
            "done",
            "cp /tmp/packages/package.cache /var/lib/ghc/package.conf.d/package.cache",
            "rm -r /tmp/packages",
        ),
    ),
    Settling(
        "man",
        "/var/cache/man",
        ("usr/bin/mandb",),
        "before release 2.10 the index of manual pages holds the time it was made; man does without",
        ("if man --version | grep -q ' 2[.][0-9][.]'; then rm -rf /var/cache/man/*; fi",),
    ),
    Settling(
        "python3.9",
        "/usr/lib/python3.9/__pycache__",
        ("usr/lib/python3.9/",),
        "compiled with -E, so with sets in a random order, which later releases of Python sort",
        (
            "find /usr/lib/python3.9 -name '*.cpython-39.pyc' | LC_ALL=C sort | python3.9 -S -c '",
            "import os, py_compile, sys",
            "for line in sys.stdin:",
            '    folder, name = os.path.split(line.rstrip("\\n"))',
            '    source = os.path.join(os.path.dirname(folder), name.replace(".cpython-39.pyc", ".py"))',
            "    if os.path.exists(source):",
            "        py_compile.compile(source, line.rstrip(), doraise=True)",
            "'",
        ),
    ),
    Settling(
        "pg_createcluster",
        "/var/lib/postgresql",
        ("usr/bin/pg_createcluster",),
        "given to postgres unless a process of postgres says it has it, which in a build is a process of root",
        ("chown postgres:postgres /var/lib/postgresql",),
    ),
)


def commands(packages: Sequence[PackageTree]) -> list[str]:
    """Those that a group of `packages` needs, as lines of a script."""
    lines: list[str] = []
    for settling in SETTLINGS:
        if any(entry.path.startswith(settling.ships) for package in packages for entry in package.entries):
            lines.append(f"if command -v {settling.tool} >/dev/null && [ -e {settling.path} ]; then")
            lines += settling.commands
            lines.append("fi")
    return lines
