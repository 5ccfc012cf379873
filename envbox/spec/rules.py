from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING, Any

from envbox.spec.archives import read_base, read_repositories
from envbox.spec.checker import Section, nearest, shown
from envbox.spec.places import read_sources, relative_path, url
from envbox.spec.requirements import RequirementFiles, listed_requirements
from envbox.spec.steps import read_steps
from envbox.spec.values import PackageRequest, PythonLibraries, SessionOptions, Spec, Volume

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS: dict[tuple[str, ...], tuple[str, ...]] = {
    (): ("name", "base", "packages", "repository", "libraries", "variables", "step", "session", "sources"),
    ("base",): ("name", "mirror", "security-mirror", "key", "snapshot", "snapshot-mirror"),
    ("repository",): ("name", "url", "suite", "components", "key", "fingerprint"),
    ("libraries",): ("python", "python-index"),
    ("libraries", "python"): ("requirements", "project"),
    ("step",): ("name", "run", "inputs"),
    ("step", "inputs"): ("url", "sha256", "path", "name"),
    ("session",): ("shell", "volumes"),
    ("session", "volumes"): ("source", "target", "access"),
}
"""Every key there is, by its table."""

_LATER: dict[tuple[str, ...], tuple[str, ...]] = {
    ("base",): ("image",),
    ("libraries",): ("node",),
    ("session",): ("network", "ports", "limits", "gpu"),
    ("session", "volumes"): ("name",),
}
"""Keys that a later version will know."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"(?:\d+:)?[A-Za-z0-9][A-Za-z0-9.+~:-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KERNELS = ("/proc", "/dev", "/sys")
_ACCESS = ("read", "write")


def read_spec(top: Section, folder: str, read: Callable[[str], str]) -> Spec:
    """The spec that a text's values mean, with defaults for whatever is noted as a problem."""
    _expect(top)
    files = RequirementFiles(read, top.problems.found)
    libraries = _expect(top.table("libraries"))
    return Spec(
        name=_name(top, folder),
        base=read_base(top, _expect),
        packages=_packages(top),
        python=_python(libraries, files),
        variables=_variables(top.table("variables")),
        steps=read_steps(top, _expect),
        repositories=read_repositories(top, _expect),
        session=_session(_expect(top.table("session")), folder),
        sources=read_sources(top),
        files=tuple(files.sources),
    )


def _expect(section: Section) -> Section:
    own = tuple(part for part in section.path if isinstance(part, str))
    section.expect(KEYS, _LATER.get(own, ()))
    return section


def _name(top: Section, folder: str) -> str:
    name = top.text("name")
    if name and not _NAME.fullmatch(name):
        rule = "at most 63 letters, digits, - _ . that begin with a letter or digit"
        top.wrong(f"{shown(name)} is not a name: {rule}", "name")
    return name or valid_name(os.path.basename(folder))


def valid_name(text: str) -> str:
    """The name closest to `text` that an environment can have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-")[:63].rstrip("._-") or "environment"


def _packages(top: Section) -> tuple[PackageRequest, ...]:
    found: dict[str, PackageRequest] = {}
    for index, text in top.items("packages", str, example='["git", "jq=1.7.1-6"]'):
        name, equals, version = text.partition("=")
        fault = _package_fault(text, name, version if equals else None)
        if fault:
            top.wrong(fault, "packages", index)
        elif name in found:
            top.wrong(f"{shown(name)} is listed twice", "packages", index)
        found.setdefault(name, PackageRequest(name, version))
    return tuple(sorted(found.values()))


def _package_fault(text: str, name: str, version: str | None) -> str:
    """What is wrong with the request of one package; empty: nothing."""
    if not _PACKAGE.fullmatch(name):
        plain = re.split(r"[\s:/<>=~!]", text.strip().lower(), maxsplit=1)[0]
        meant = f"; did you mean {shown(plain)}?" if _PACKAGE.fullmatch(plain) else ""
        return f'{shown(text)} is not "name" or "name=version" of a package{meant}'
    if version is not None and not _VERSION.fullmatch(version):
        meant = version.lstrip("= ")
        hint = f"; did you mean {shown(f'{name}={meant}')}?" if _VERSION.fullmatch(meant) else ""
        return f"{shown(version)} is not a version that a package can have{hint}"
    return ""


def _python(libraries: Section, files: RequirementFiles) -> PythonLibraries | None:
    index = url(libraries, "python-index")
    value = libraries.value("python", list, dict, example='["numpy>=2"]')
    if isinstance(value, dict):
        requirements = _python_files(_expect(libraries.table("python")), files)
    else:
        requirements = listed_requirements(libraries, "python") if value else []
    unique = tuple(dict.fromkeys(requirements))
    return PythonLibraries(unique, index) if unique else None


def _python_files(table: Section, files: RequirementFiles) -> list[str]:
    if {"requirements", "project"} <= table.values.keys():
        table.wrong("has both requirements and project; choose one of them")
    elif not table.values:
        table.wrong('names no file; write python = { requirements = "requirements.txt" }')
    requirements, project = relative_path(table, "requirements"), relative_path(table, "project")
    if requirements:
        return files.file(requirements, lambda message: table.wrong(message, "requirements"))
    return files.project(project, lambda message: table.wrong(message, "project")) if project else []


def _variables(table: Section) -> tuple[tuple[str, str], ...]:
    for name, value in table.values.items():
        if not _VARIABLE.fullmatch(name):
            table.wrong("is not a name that a variable can have: letters, digits and _, no digit first", name)
        elif type(value) in {int, float}:
            table.wrong(f'must be a string; write {name} = "{value}"', name)
        elif table.checked(value, (str,), name) and "\0" in value:
            table.wrong("no variable can hold a NUL character", name)
    return tuple(sorted((name, value) for name, value in table.values.items() if isinstance(value, str)))


def _session(table: Section, folder: str) -> SessionOptions:
    shell = table.text("shell", example='"bash"') or SessionOptions.shell
    if not (_SHELL.fullmatch(shell) or (_is_absolute(shell) and shell != "/")):
        table.wrong(f"{shown(shell)} is not the name of a command or an absolute path", "shell")
    volumes: dict[str, Volume] = {}
    for index, values in table.items("volumes", dict, example='[{ source = "../data", target = "/data" }]'):
        section = _expect(Section(values, (*table.path, "volumes", index), table.problems))
        volume = _volume(section, values, folder)
        if volume.target and volume.target in volumes:
            section.wrong(f"{shown(volume.target)} is the target of two volumes", "target")
        volumes.setdefault(volume.target, volume)
    return SessionOptions(shell, tuple(volumes.values()))


def _volume(section: Section, values: dict[str, Any], folder: str) -> Volume:
    target, source = section.text("target"), section.text("source")
    access = section.text("access", example='"read"') or Volume.access
    for key in ("target",) if "name" in values else ("source", "target"):
        if key not in values:
            section.wrong("is missing", key)
    if target and not _is_absolute(target):
        section.wrong(f"{shown(target)} is not an absolute path without . .. or doubled slashes", "target")
    elif target == "/" or any(target == kernel or target.startswith(f"{kernel}/") for kernel in _KERNELS):
        section.wrong(f"{shown(target)} cannot be replaced in a session", "target")
    if _CONTROL.search(source) or (source.startswith("~") and not re.match(r"~(?:/|$)", source)):
        section.wrong(f"{shown(source)} is not a path; write one relative to the project's folder", "source")
    if access not in _ACCESS:
        section.wrong(f'must be "read" or "write", not {shown(access)}{nearest(access, _ACCESS)}', "access")
    place = os.path.abspath(os.path.join(folder, os.path.expanduser(source))) if source else ""
    return Volume(target, place, access=access)


def _is_absolute(path: str) -> bool:
    return path.startswith("/") and "/" + posixpath.normpath(path).lstrip("/") == path and not _CONTROL.search(path)
