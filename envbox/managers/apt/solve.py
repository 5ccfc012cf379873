"""Which packages a request needs, asked of the base's own apt (apt-get(8)), offline, from verified indexes."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from envbox.errors import UnknownPackage, Unsatisfiable
from envbox.managers.apt import lists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbox.build_sandbox import BuildSandbox
    from envbox.host.run import Completed
    from envbox.managers.apt.archive import Archive
    from envbox.sandbox.spec import Mount
    from envbox.spec import PackageRequest
    from envbox.store.store import Store
    from envbox.values import Artifact

_URI = re.compile(rf"^'http://{lists.HOST}/([a-z0-9-]+)/(\S+)' ", re.MULTILINE)
_LAYERS_OF_BASE = 2  # which are enough to run apt, and the same for every project
_CHANGES = re.compile(r"^The following packages will be (REMOVED|DOWNGRADED):\n((?:  .*\n)+)", re.MULTILINE)
_OPTIONS = (
    f"Dir::Etc::SourceList={lists.PLACE}/sources.list",
    "Dir::Etc::SourceParts=/dev/null",
    f"Dir::State::Lists={lists.PLACE}/lists",
    f"Dir::Cache={lists.PLACE}/cache",
    "Dir::Cache::pkgcache=",
    "APT::Sandbox::User=root",
    "APT::Install-Recommends=false",
    "APT::Install-Suggests=false",
    "Acquire::Languages=none",
)


def check_names(archive: Archive, requests: Sequence[PackageRequest], distribution: str) -> None:
    """Every name and version asked for exists. Raises UnknownPackage naming all that do not, with near names."""
    problems = []
    names: set[str] | None = None
    for request in requests:
        versions = [package.version for package, _ in archive.versions(request.name)]
        if request.version and versions and request.version not in versions:
            problems.append(
                f"{request.name} has no version {request.version} in {distribution}; it has {', '.join(versions)}"
            )
        elif not versions and not archive.providers(request.name):
            names = archive.names() if names is None else names
            problems.append(_unknown(request.name, names, distribution))
    if problems:
        raise UnknownPackage(
            "\n".join(problems), hint="correct `packages` in envbox.toml, then run the same command again"
        )


def _unknown(name: str, names: set[str], distribution: str) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.75)
    near += sorted(other for other in names if name in other.split("-") and other not in near)[: 3 - len(near)]
    return f"{distribution} has no package {name!r}" + (f"; near names: {', '.join(near)}" if near else "")


def solve(
    archive: Archive, store: Store, sandbox: BuildSandbox, requests: Sequence[PackageRequest]
) -> tuple[Artifact, ...]:
    """The artifacts to install on top of the sandbox's root so that it has `requests`, sorted by name.

    Raises Unsatisfiable with apt's own reason.
    """
    folder = lists.prepare(archive, store)
    base = replace(sandbox, layers=sandbox.layers[:_LAYERS_OF_BASE], work=os.path.join(sandbox.work, "cache"))
    warm = ["apt-cache", "gencaches"]
    cache = lists.prepare_cache(
        store, folder, base.layers, lambda new: _run(base.prepare(), lists.mounts(folder, new, "write"), warm)
    )
    wanted = [str(request) for request in requests]
    result = _run(
        sandbox,
        lists.mounts(folder, cache, "read"),
        ["apt-get", "install", "--print-uris", "--yes", "--quiet", *wanted],
    )
    output = result.stdout.decode("utf-8", "replace")
    if result.status != 0:
        reason = _reason(output + result.stderr.decode("utf-8", "replace"))
        raise Unsatisfiable(
            f"these packages cannot be installed together:\n{reason}", hint="change `packages` in envbox.toml"
        )
    removed = _CHANGES.search(output)
    if removed:
        names = " ".join(removed.group(2).split())
        raise Unsatisfiable(
            f"the packages asked for conflict with the base: {names} would be {removed.group(1).lower()}",
            hint="change `packages` in envbox.toml",
        )
    found = [archive.artifact_at(part, unquote(filename)) for part, filename in _URI.findall(output)]
    return tuple(sorted(found))


def _run(sandbox: BuildSandbox, mounts: Sequence[Mount], command: Sequence[str]) -> Completed:
    options = [word for option in _OPTIONS for word in ("-o", option)]
    return sandbox.with_mounts(*mounts).run([*command, *options])


def _reason(output: str) -> str:
    """What apt says from the first interesting line on."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    for start, line in enumerate(lines):
        if line.startswith(("The following packages have unmet", "E:", "Some packages", "Package ")):
            lines = lines[start:]
            break
    noise = (
        "Reading package lists",
        "Building dependency tree",
        "Reading state information",
        "Solving dependencies",
    )
    return "\n".join(f"  {line}" for line in lines if not line.startswith(noise))
