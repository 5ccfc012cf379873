"""Python libraries: resolved and installed by uv inside the root file system, wheels only, each locked by hash."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from envbox.errors import ArtifactHostile, BuildFailed, NetworkFailed, Unsatisfiable
from envbox.formats import toml
from envbox.libraries.uv import UV, executable
from envbox.lock import LibrarySet
from envbox.sandbox.spec import Mount
from envbox.values import Artifact, Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envbox.build_sandbox import BuildSandbox
    from envbox.lock import Lock
    from envbox.spec import PythonLibraries
    from envbox.values import Architecture
    from envbox.workshop import Workshop

PREFIX = "/opt/envbox/python"
EPOCH = 315532800
"""1980-01-01, the first day a wheel can hold: a library layer depends on nothing but its wheels."""

_TOOL = "/run/envbox-uv"
_PLACE = "/run/envbox-python"
_CACHE = "/opt/envbox/.cache"  # on the file system of PREFIX, so that wheels are linked, not copied
_PYTHON = "/usr/bin/python3"
_PYPI = "https://pypi.org/simple"
_PASSED = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)
_OFFLINE = ("dns error", "error sending request", "Failed to fetch", "Connection refused", "timed out")


def artifacts_of(libraries: LibrarySet) -> tuple[Artifact, ...]:
    """All that has to be downloaded to install them."""
    return (*libraries.tools, *libraries.artifacts)


def fits(libraries: LibrarySet, lock: Lock) -> bool:
    """Whether libraries that were locked can be installed for the interpreter of `lock`."""
    return libraries.interpreter == _python_version(lock)


def resolve(
    wanted: PythonLibraries, lock: Lock, before: Sequence[LibrarySet], sandbox: BuildSandbox, workshop: Workshop
) -> LibrarySet:
    """Ask uv, inside the sandbox and with the network, for wheels that fit; they are in the store afterwards.

    Versions in `before` are taken again where they fit. Raises Unsatisfiable with uv's reason, NetworkFailed.
    """
    tool = UV[lock.architecture]
    workshop.fetch([tool], None, lambda _artifact: None)
    box = sandbox.with_mounts(
        Mount("bind", _TOOL, source=executable(tool, workshop), access="read"),
        Mount("bind", _PLACE, source=_requirements(sandbox, wanted.requirements, before)),
        *_network_files(),
    )
    box = replace(box, network="host", environment=tuple(sorted(_network_environment().items())))
    command = [
        "pip",
        "compile",
        "--quiet",
        "--no-config",
        "--no-header",
        "--no-annotate",
        "--no-python-downloads",
    ]
    options = ["--only-binary", ":all:", "--python", _PYTHON, "--default-index", wanted.index or _PYPI]
    outputs = [
        "--format",
        "pylock.toml",
        "--output-file",
        f"{_PLACE}/pylock.toml",
        "--cache-dir",
        "/run/envbox-cache",
    ]
    result = box.run([f"{_TOOL}/uv", *command, *options, *outputs, f"{_PLACE}/requirements.in"])
    if result.status != 0:
        raise _resolution_error(result.stderr.decode("utf-8", "replace"))
    with open(os.path.join(sandbox.work, "python", "pylock.toml"), encoding="utf-8") as file:
        document = toml.loads(file.read())
    tags = _tags(lock)
    wheels = [_wheel(package, tags) for package in document.get("packages", [])]
    return LibrarySet("python", _python_version(lock), (tool,), tuple(sorted(_measured(wheels, workshop))))


def install(libraries: LibrarySet, sandbox: BuildSandbox, workshop: Workshop, log: str) -> None:
    """Install into the sandbox's upper, at PREFIX, without the network. Raises BuildFailed."""
    box = sandbox.with_mounts(
        Mount("bind", _TOOL, source=executable(libraries.tools[0], workshop), access="read"),
        Mount("bind", _PLACE, source=_wheel_folder(libraries, sandbox, workshop), access="read"),
    )
    box = replace(box, environment=(("PYC_INVALIDATION_MODE", "UNCHECKED_HASH"), ("UV_LINK_MODE", "hardlink")))
    common = f"--quiet --offline --no-config --cache-dir {_CACHE}"
    commands = [
        "set -e",
        f"mkdir -p {os.path.dirname(PREFIX)}",
        f"{_TOOL}/uv venv {common} --no-project --python {_PYTHON} {PREFIX}",
        (
            f"{_TOOL}/uv pip install {common} --python {PREFIX}/bin/python --no-deps --no-index --find-links {_PLACE} "
            f"--require-hashes --compile-bytecode --requirements {_PLACE}/requirements.txt"
        ),
        # When the wheel was put into this host's store is nobody's business but uv's.
        f"find {PREFIX}/lib -path '*.dist-info/uv_cache.json' -delete",
        f"find {PREFIX}/lib -path '*.dist-info/RECORD' -exec sed -i '/\\/uv_cache\\.json,/d' {{}} +",
        # A library layer fits every patch release of the interpreter.
        f"sed -i '/^version_info/d' {PREFIX}/pyvenv.cfg",
        # What else uv keeps for itself: its cache, and files that tell other tools to leave the folder alone.
        f"rm -rf {_CACHE} {PREFIX}/.gitignore {PREFIX}/.lock {PREFIX}/CACHEDIR.TAG",
    ]
    if not libraries.artifacts:
        del commands[3]
    result = box.run(["sh", "-c", "\n".join(commands)], log=log)
    if result.status != 0:
        with open(log, encoding="utf-8", errors="replace") as file:
            tail = "".join(f"  {line}" for line in file.readlines()[-30:])
        raise BuildFailed(f"installing the Python libraries failed:\n{tail}", hint=f"the whole log is in {log}")
    os.unlink(log)


def _requirements(sandbox: BuildSandbox, requirements: Sequence[str], before: Sequence[LibrarySet]) -> str:
    folder = os.path.join(sandbox.work, "python")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "requirements.in"), "w", encoding="utf-8") as file:
        file.writelines(f"{requirement}\n" for requirement in requirements)
    known = [artifact for libraries in before for artifact in libraries.artifacts]
    if known:  # uv prefers the versions in the file that it is to write
        with open(os.path.join(folder, "pylock.toml"), "w", encoding="utf-8") as file:
            file.write('lock-version = "1.0"\ncreated-by = "envbox"\n')
            file.writelines(map(_known, known))
    return folder


def _known(wheel: Artifact) -> str:
    name, version = toml.scalar(wheel.name), toml.scalar(wheel.version)
    place = toml.inline_table({"url": wheel.source, "size": wheel.size})
    place = place.removesuffix(" }") + ", hashes = " + toml.inline_table({"sha256": wheel.digest.hex}) + " }"
    return f"\n[[packages]]\nname = {name}\nversion = {version}\nwheels = [{place}]\n"


def _trusted_certificates() -> str:
    # Imported here: it brings all that a download takes, which an installation does without.
    from envbox.host.connection import trusted_certificates

    return trusted_certificates()


def _network_files() -> list[Mount]:
    mounts = [
        Mount(
            "bind",
            "/etc/resolv.conf",
            source=os.path.realpath("/etc/resolv.conf"),
            access="read",
            optional=True,
        )
    ]
    mounts.append(Mount("bind", "/etc/hosts", source="/etc/hosts", access="read", optional=True))
    certificates = _trusted_certificates()
    if certificates:
        mounts.append(Mount("bind", "/run/envbox-certificates.pem", source=certificates, access="read", optional=True))
    return mounts


def _network_environment() -> Mapping[str, str]:
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    if _trusted_certificates():
        passed["SSL_CERT_FILE"] = "/run/envbox-certificates.pem"
    return passed


def _resolution_error(output: str) -> Unsatisfiable | NetworkFailed:
    text = "\n".join(f"  {line}" for line in output.strip().splitlines())
    if any(word in output for word in _OFFLINE) and "No solution found" not in output:
        return NetworkFailed(f"the Python index could not be read:\n{text}", hint="check the network and try again")
    return Unsatisfiable(
        f"the Python libraries asked for cannot be had together:\n{text}",
        hint="change `python` under [libraries] in envbox.toml",
    )


def _version_of(lock: Lock, name: str) -> str:
    return next((a.version for group in lock.groups for a in group.artifacts if a.name == name), "")


def _python_version(lock: Lock) -> str:
    found = re.match(r"(?:\d+:)?(\d+\.\d+)", _version_of(lock, "python3"))
    if not found:
        raise Unsatisfiable("the root file system has no python3 to install libraries for")
    return found.group(1)


def _tags(lock: Lock) -> dict[Tag, int]:
    """The wheel tags that fit, each with its rank (PEP 425, PEP 600), from the root's own Python and C library."""
    major, minor = (int(part) for part in _python_version(lock).split("."))
    found = re.match(r"(?:\d+:)?2\.(\d+)", _version_of(lock, "libc6"))
    platforms = list(_platforms(lock.architecture, int(found.group(1)) if found else 17))
    tags = [
        *cpython_tags((major, minor), platforms=platforms),
        *compatible_tags((major, minor), interpreter=f"cp{major}{minor}", platforms=platforms),
    ]
    return {tag: rank for rank, tag in enumerate(tags)}


def _platforms(architecture: Architecture, glibc: int) -> Sequence[str]:
    older = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    names = []
    for minor in range(glibc, 4, -1):
        names.append(f"manylinux_2_{minor}_{architecture.machine}")
        if minor in older:
            names.append(f"{older[minor]}_{architecture.machine}")
    return [*names, f"linux_{architecture.machine}"]


def _wheel(package: Mapping[str, Any], tags: Mapping[Tag, int]) -> Artifact:
    """The wheel that fits best, of a package in a pylock.toml (PEP 751)."""
    name = package["name"]
    direct = [package["archive"]] if "archive" in package else []  # of a requirement that names a URL
    ranked = []
    for wheel in [*package.get("wheels", []), *direct]:
        if not urlsplit(wheel["url"]).path.endswith(".whl"):
            continue
        filename = _wheel_name(wheel["url"])
        _, version, _, of_wheel = parse_wheel_filename(filename)
        ranks = [tags[tag] for tag in of_wheel if tag in tags]
        if ranks:
            ranked.append((min(ranks), filename, package.get("version", str(version)), wheel))
    if not ranked:
        raise Unsatisfiable(
            f"{name} {package.get('version', '')} has no wheel for this base", hint="ask for another version of it"
        )
    _, _, version, best = min(ranked, key=lambda item: item[:2])
    if "sha256" not in best.get("hashes", {}):
        raise Unsatisfiable(f"the index gives no sha256 for {name} {version}", hint="use an index that does")
    return Artifact(name, str(version), best["url"], int(best.get("size", -1)), Digest(best["hashes"]["sha256"]))


def _wheel_name(url: str) -> str:
    """The file name at the end of a URL, if it is a wheel's and nothing else. Raises ArtifactHostile."""
    name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    try:
        parse_wheel_filename(name)
    except InvalidWheelFilename as error:
        raise ArtifactHostile(f"{url} is no name of a wheel", hint="ask for another version of it") from error
    if "/" in name or "\0" in name:
        raise ArtifactHostile(f"{url} is no name of a wheel", hint="ask for another version of it")
    return name


def _measured(wheels: Sequence[Artifact], workshop: Workshop) -> list[Artifact]:
    """With sizes, which not every index tells: what was downloaded is as long as it is."""
    workshop.fetch(wheels, None, lambda _artifact: None)
    return [replace(wheel, size=os.path.getsize(workshop.blobs.path(wheel.digest))) for wheel in wheels]


def _wheel_folder(libraries: LibrarySet, sandbox: BuildSandbox, workshop: Workshop) -> str:
    folder = os.path.join(sandbox.work, "wheels")
    os.makedirs(folder)
    lines = []
    for artifact in libraries.artifacts:
        workshop.blobs.check(artifact.digest, artifact.name)
        os.link(workshop.blobs.path(artifact.digest), os.path.join(folder, _wheel_name(artifact.source)))
        lines.append(f"{artifact.name}=={artifact.version} --hash=sha256:{artifact.digest.hex}\n")
    with open(os.path.join(folder, "requirements.txt"), "w", encoding="utf-8") as file:
        file.writelines(lines)
    return folder
