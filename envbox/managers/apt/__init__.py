"""Debian's packages: apt solves, dpkg configures, both the root's own."""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from envbox.errors import ArtifactHostile
from envbox.managers.apt import base, configured, database, lists, preinst, solve, sources
from envbox.managers.apt.installed import Installed
from envbox.managers.apt.locked_archive import open_locked_archive
from envbox.managers.apt.opening import open_archive
from envbox.managers.apt.package_tree import PackageTree, add_tree, open_tree
from envbox.managers.apt.rewrites import rewritten
from envbox.managers.apt.unpacked import Farm
from envbox.sandbox.spec import Mount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envbox.build_sandbox import BuildSandbox
    from envbox.distros import Distro
    from envbox.lock import ArchiveState, Lock
    from envbox.managers.apt.archive import Archive
    from envbox.managers.manager import ArchiveRequest, GroupWork
    from envbox.spec import PackageRequest
    from envbox.store.manifest import Entry
    from envbox.store.stack import Stack
    from envbox.store.store import Store
    from envbox.values import Architecture, Artifact, Digest
    from envbox.workshop import Workshop

__all__ = ["Apt"]


class Apt:
    """The `apt` manager (see `envbox.managers.manager.Manager`)."""

    def open_archive(
        self,
        distro: Distro,
        wanted: ArchiveRequest,
        architecture: Architecture,
        workshop: Workshop,
    ) -> Archive:
        """Fetch and verify the package lists of all suites."""
        return open_archive(distro, wanted, architecture, workshop)

    def reopen_archive(self, lock: Lock, workshop: Workshop) -> Archive:
        """The package lists of all suites as they were locked."""
        return open_locked_archive(lock, workshop)

    def lists_of(self, lock: Lock) -> str:
        """What apt reads and has computed of them."""
        return lists.name_of(lock.archives, lock.architecture)

    def owner_in(self, stack: Stack) -> Callable[[str], str]:
        """By dpkg's lists of files; a stack is only read once a path is asked for."""
        installed: list[Installed] = []

        def owner(path: str) -> str:
            if not installed:
                installed.append(Installed(stack.view, stack.read))
            found = installed[0].owner(path)
            return found.name if found else ""

        return owner

    def states(self, archive: Archive) -> tuple[ArchiveState, ...]:
        """The suites' signed states."""
        return tuple(part.state for part in archive.parts)

    def base_artifacts(
        self, archive: Archive, distro: Distro, requests: Sequence[PackageRequest]
    ) -> tuple[Artifact, ...]:
        """Essential, required, apt, ca-certificates and what they need, a pinned version from a repository too."""
        pins = {request.name: request.version for request in requests if request.version}
        return base.base_artifacts(archive, distro, pins)

    def check_names(self, archive: Archive, requests: Sequence[PackageRequest], distribution: str) -> None:
        """Every package and version asked for exists."""
        solve.check_names(archive, requests, distribution)

    def solve(
        self, archive: Archive, store: Store, sandbox: BuildSandbox, requests: Sequence[PackageRequest]
    ) -> tuple[Artifact, ...]:
        """Ask the root's own apt."""
        return solve.solve(archive, store, sandbox, requests)

    def add_tree(self, store: Store, artifact: Artifact, read: Callable[[], bytes], work: str) -> None:
        """Unpack a .deb into the store, once, if it is the one that the index promised."""
        tree = open_tree(store, artifact.digest) or add_tree(store, artifact.digest, read(), work)
        if (tree.name, tree.fields["Version"]) != (artifact.name, artifact.version):
            raise ArtifactHostile(f"the package calls itself {tree.name} {tree.fields['Version']}")

    def unpack(self, store: Store, group: GroupWork, folder: str) -> list[Entry]:
        """Link the group's package trees together."""
        return _farm(group, _trees(store, group)).write(folder)

    def configure(
        self, store: Store, group: GroupWork, sandbox: BuildSandbox, log: str, on_step: Callable[[str], None]
    ) -> None:
        """Run dpkg over the group's unpacked packages."""
        packages = _trees(store, group)
        names = (*database.READS, *(f"{database.ADMIN}/triggers/{t}" for t in database.explicit_triggers(packages)))
        lower = {} if group.is_base else {name: group.read_below(name) for name in names}
        automatic = [] if group.is_base else _automatic(packages, group)
        fired = database.file_triggers(lower.get(f"{database.ADMIN}/triggers/File", ""), packages)
        root = store.path("packages-v1")
        late = _late_files(group, packages, root)
        hidden = [] if group.is_base else _hidden(group, packages, late)
        commands = configured.script(packages, late, fired, hidden)
        files = {**database.seed(packages, automatic, lower, set(hidden)), **configured.seeds(commands)}
        if group.is_base:
            files.update(sources.files(group.distro, group.release))
        files.update(sources.repository_files(group.repositories))
        configured.write_files(sandbox.upper, files, lambda path: _mode_below(group, packages, path))
        stage = os.path.join(sandbox.work, "preinst")
        preinst.stage(stage, packages)
        mounts = [Mount("bind", preinst.STAGE, source=stage, access="read")]
        mounts.append(Mount("bind", preinst.PACKAGES, source=root, access="read"))
        scripts = configured.write_scripts(sandbox.work, rewritten(lambda path: _script(group, packages, path)))
        mounts += [Mount("bind", f"/{path}", source=source, access="read") for path, source in scripts]
        box = sandbox.with_mounts(*mounts)
        configured.configure(box, log, on_step, group.name)


def _farm(group: GroupWork, packages: Sequence[PackageTree]) -> Farm:
    if "farm" not in group.kept:
        links = group.distro.links if group.is_base else {}
        group.kept["farm"] = Farm(packages, group.below, Installed(group.below, group.read_below), links)
    farm: Farm = group.kept["farm"]
    return farm


def _trees(store: Store, group: GroupWork) -> list[PackageTree]:
    if "trees" not in group.kept:
        group.kept["trees"] = [_tree(store, digest) for digest in group.digests]
    trees: list[PackageTree] = group.kept["trees"]
    return trees


def _tree(store: Store, digest: Digest) -> PackageTree:
    tree = open_tree(store, digest)
    assert tree, f"{digest} was unpacked before its group is built"
    return tree


def _late_files(group: GroupWork, packages: Sequence[PackageTree], root: str) -> dict[str, str]:
    """Path -> source inside the sandbox, of files that a preinst script has to make room for."""
    if not any(package.diverts for package in packages):
        return {}
    return {
        path: place.source.replace(root, preinst.PACKAGES, 1) for path, place in _farm(group, packages).late.items()
    }


def _hidden(group: GroupWork, packages: Sequence[PackageTree], late: Mapping[str, str]) -> list[str]:
    """Configuration files of the group, but for those that are below already, or come at another place or time."""
    diverted = Installed(group.below, group.read_below).diversions
    shipped = {entry.path for package in packages for entry in package.entries if entry.kind == "file"}

    def stays(path: str) -> bool:
        return path in late or path in diverted or path not in shipped or group.below.get(path) is not None

    return configured.conffiles(packages, stays)


def _automatic(packages: Sequence[PackageTree], group: GroupWork) -> list[tuple[str, str]]:
    """Name and architecture, as apt writes them: `all` is the root's own."""
    requested = {request.partition("=")[0] for request in group.requested}
    return [(package.name, group.architecture.value) for package in packages if package.name not in requested]


def _script(group: GroupWork, packages: Sequence[PackageTree], path: str) -> str:
    """Text of a script that the group's packages or those below brought, empty if there is none."""
    for package in packages:
        full = os.path.join(package.tree, path)
        if os.path.isfile(full):
            with open(full, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
    return group.read_below(path)


def _mode_below(group: GroupWork, packages: Sequence[PackageTree], path: str) -> int:
    """The mode that a folder has in the layers below the one being configured."""
    below = group.below.get(path)
    brought = (entry for package in packages for entry in package.entries if entry.path == path)
    return next((entry.mode for entry in chain([below], brought) if entry and entry.is_directory), 0o755)
