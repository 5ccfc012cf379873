"""The scripts that packages run before they are unpacked; here, before the first of them is configured."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from envbox.formats import dependency
from envbox.managers.apt import database
from envbox.managers.apt.package_tree import INFO
from envbox.managers.apt.unpacked import link_or_copy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envbox.managers.apt.package_tree import PackageTree

STAGE = "/run/envbox-preinst"
"""Where the folder that `stage` fills is mounted."""
PACKAGES = "/run/envbox-packages"
"""Where the folder of all package trees is mounted."""
_CONTROL = f"/{database.ADMIN}/tmp.ci"  # where dpkg keeps the control archive of what it installs
_HIDDEN_LIST = "/run/envbox-list"
_RESTORE = (
    "restore() {",
    "  while read -r path; do",
    '    if [ -e "$path" ] || [ -L "$path" ] || grep -qxF -e "$path" /var/lib/dpkg/diversions; then continue; fi',
    '    if [ -e "$2$path" ] || [ -L "$2$path" ]; then cp -a "$2$path" "$path"; else cp -a "$2/usr$path" "$path"; fi',
    '  done <"$1"',
    "}",
)


def stage(folder: str, packages: Sequence[PackageTree]) -> None:
    """Put the control archive of every package with a preinst script into a folder of its own below `folder`."""
    os.makedirs(folder)
    for package in _with_script(packages):
        place = os.path.join(folder, package.info_name)
        os.mkdir(place)
        for path in _control_files(package):
            link_or_copy(os.path.join(package.tree, path), os.path.join(place, path.removeprefix(_prefix(package))))
        with open(os.path.join(place, "control"), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(package.control)


def commands(packages: Sequence[PackageTree], late: Mapping[str, str]) -> list[str]:
    """Shell commands that run all preinst scripts, the staged ones being at STAGE.

    `late` files (path -> their source inside the sandbox) are put where the scripts have made room for them. Whatever
    of its own package a script removed is there again at the end, as if unpacked after it.
    """
    scripted = preinst_order(_with_script(packages))
    lines = [line for package in scripted for line in _commands(package, late)]
    lines += [f"cp -a {shlex.quote(source)} {shlex.quote('/' + path)}" for path, source in sorted(late.items())]
    if scripted:
        lines += [f"rm {_CONTROL}", *_RESTORE]
        lines += [f"restore {shlex.quote(_listing(package))} {shlex.quote(_tree(package))}" for package in scripted]
    return lines


def _with_script(packages: Sequence[PackageTree]) -> list[PackageTree]:
    return [package for package in packages if "preinst" in package.scripts]


def _listing(package: PackageTree) -> str:
    return f"/{_prefix(package)}list"


def _tree(package: PackageTree) -> str:
    return f"{PACKAGES}/{os.path.basename(package.folder)}/tree"


def _prefix(package: PackageTree) -> str:
    return f"{INFO}/{package.info_name}."


def _control_files(package: PackageTree) -> list[str]:
    prefix = _prefix(package)
    return [e.path for e in package.entries if e.path.startswith(prefix) and e.path != f"{prefix}list"]


def _commands(package: PackageTree, late: Mapping[str, str]) -> list[str]:
    """As dpkg does it: out of the folder in which debconf looks for whose questions are asked, and for their texts."""
    variables = {
        "DPKG_MAINTSCRIPT_PACKAGE": package.name,
        "DPKG_MAINTSCRIPT_ARCH": package.fields["Architecture"],
        "DPKG_MAINTSCRIPT_NAME": "preinst",
        "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
        "DPKG_ADMINDIR": f"/{database.ADMIN}",
        "DPKG_ROOT": "",
    }
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    words = f"{package.name}: its preinst script failed"
    # dpkg-divert moves no file that is listed as the diverting package's own: only others' files are in its way.
    listing, expected = _listing(package), [path for path in late if late[path].startswith(f"{_tree(package)}/")]
    names = [name for path in sorted(expected) for name in (f"/{path}", f"/{path.removeprefix('usr/')}")]
    words_of_grep = " ".join(f"-e {shlex.quote(name)}" for name in names)
    place = shlex.quote(listing)
    hide = [f"mv {place} {_HIDDEN_LIST}", f"grep -vxF {words_of_grep} {_HIDDEN_LIST} >{place} || true"]
    show = [f"mv {_HIDDEN_LIST} {place}"]
    return [
        f"echo {shlex.quote('Preparing ' + package.name + ' ...')}",
        *(hide if expected else []),
        f"ln -sfn {shlex.quote(f'{STAGE}/{package.info_name}')} {_CONTROL}",
        f"{assignments} {_CONTROL}/preinst install || {{ echo {shlex.quote(words)} >&2; exit 1; }}",
        *(show if expected else []),
    ]


def preinst_order(packages: Sequence[PackageTree]) -> list[PackageTree]:
    """By name, each after those of `packages` that it pre-depends on."""
    by_name = {package.name: package for package in packages}
    ordered: dict[str, PackageTree] = {}

    def visit(package: PackageTree) -> None:
        if package.name in ordered or package.name in visiting:
            return
        visiting.add(package.name)
        needs = dependency.parse(package.fields.get("Pre-Depends", ""), package.fields["Architecture"])
        for alternatives in needs:
            for relation in alternatives:
                if relation.name in by_name:
                    visit(by_name[relation.name])
        ordered[package.name] = package

    visiting: set[str] = set()
    for name in sorted(by_name):
        visit(by_name[name])
    return list(ordered.values())
