"""The configured layer of a group: what its maintainer scripts write, run by the root's own dpkg."""

from __future__ import annotations

import os
import shlex
from collections import Counter, deque
from typing import TYPE_CHECKING

from envbox.build_sandbox import LIMITS
from envbox.errors import BuildFailed, StoreFailed
from envbox.managers.apt import database, preinst, settling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from envbox.build_sandbox import BuildSandbox
    from envbox.managers.apt.package_tree import PackageTree

_POLICY = "usr/sbin/policy-rc.d"  # invoke-rc.d(8): 101 forbids to start any service
_SCRIPT = f"{database.ADMIN}/envbox-configure"  # longer than an argument may be
_TAIL = 30

# dpkg gives files the owner and mode of dpkg-statoverride(1) as it unpacks them: those known before this group.
_OVERRIDES = (
    "if [ -s /var/lib/dpkg/statoverride ]; then",
    "  while read -r user group mode path; do",
    '    if [ -e "$path" ]; then chown "$user:$group" "$path"; chmod "$mode" "$path"; fi',
    "  done < /var/lib/dpkg/statoverride",
    "fi",
)


def write_files(upper: str, files: Mapping[str, str], folder_mode: Callable[[str], int]) -> None:
    """Put `files` into the upper folder of an overlay; folders get the mode they have below."""
    for path, text in files.items():
        _make_folders(upper, os.path.dirname(path), folder_mode)
        full = os.path.join(upper, path)
        with open(full, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(full, 0o755 if path == _POLICY else 0o644)


def write_scripts(work: str, scripts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put executable `scripts` (path -> text) into the work folder; returns each path with where that is."""
    places = []
    for number, (path, text) in enumerate(scripts):
        full = os.path.join(work, f"script-{number}")
        with open(full, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(full, 0o755)
        places.append((path, full))
    return places


def _make_folders(upper: str, path: str, folder_mode: Callable[[str], int]) -> None:
    full = os.path.join(upper, path)
    if path and not os.path.isdir(full):
        _make_folders(upper, os.path.dirname(path), folder_mode)
        os.mkdir(full)
        os.chmod(full, folder_mode(path))


def seeds(commands: str) -> dict[str, str]:
    """Files that exist in a build only, `commands` of `script` among them, which remove them."""
    return {_POLICY: "#!/bin/sh\nexit 101\n", _SCRIPT: commands}


def conffiles(packages: Sequence[PackageTree], stays: Callable[[str], bool]) -> list[str]:
    """Absolute paths of the configuration files that nobody shall see until their package is configured."""
    counts = Counter(path for package in packages for path, _, _ in package.conffiles)
    known = [conffile for package in packages for conffile in package.conffiles]
    return sorted(path for path, _, removed in known if counts[path] == 1 and not removed and not stays(path[1:]))


def _hide(paths: Sequence[str]) -> list[str]:
    """As dpkg leaves what it has unpacked: hooks of packages that cannot run yet are out of sight."""
    if not paths:
        return []
    program = 'while (<STDIN>) { chomp; rename($_, "$_.dpkg-new") if -f $_ && ! -l $_ }'
    return [f"perl -e {shlex.quote(program)} <<'END OF PATHS'", *paths, "END OF PATHS"]


def script(
    packages: Sequence[PackageTree],
    late: Mapping[str, str],
    fired: Sequence[tuple[str, str]],
    hidden: Sequence[str] = (),
) -> str:
    """The commands that configure unpacked `packages`, for the root's own sh.

    `late` as for `preinst.commands`; `hidden` are configuration files that dpkg puts into place.
    """
    lines = ["set -e", "cd /", LIMITS, *_OVERRIDES]
    lines += preinst.commands(packages, late)
    lines += _hide(hidden)
    lines += [f"dpkg-trigger --no-await --by-package={shlex.quote(by)} {shlex.quote(name)}" for name, by in fired]
    lines.append("dpkg --force-unsafe-io --configure --pending")
    lines.append("dpkg --force-unsafe-io --triggers-only --pending")
    lines += settling.commands(packages)
    lines.append(f"rm -f /{_POLICY} /{_SCRIPT}")
    return "\n".join(lines) + "\n"


def configure(sandbox: BuildSandbox, log: str, on_step: Callable[[str], None], group: str) -> None:
    """Run the seeded commands in the sandbox. Raises BuildFailed with the last lines; the log is kept at `log`."""
    tail: deque[str] = deque(maxlen=_TAIL)

    def watch(line: str) -> None:
        tail.append(line)
        words = line.split()
        if words[:2] == ["Setting", "up"] or words[:2] == ["Processing", "triggers"]:
            on_step(line.rstrip(". ").rstrip())

    completed = sandbox.run(["sh", f"/{_SCRIPT}"], log=log, on_line=watch)
    if completed.status == 0:
        return
    lines = [line.rstrip("\n") for line in tail]
    if any("No space left on device" in line for line in lines):
        raise StoreFailed(
            f"no space left for the store while configuring the packages of group {group!r}",
            hint="free some space, or set ENVBOX_STORE to a folder on another disk",
        )
    text = "\n".join(f"  {line}" for line in lines)
    raise BuildFailed(
        f"configuring the packages of group {group!r} failed (status {completed.status}); its last lines:\n{text}",
        hint=f"the whole log is in {log}",
    )
