from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from envbox.formats import toml
from envbox.spec.checker import Problems, Section, shown
from envbox.values import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_HASH = re.compile(r"\s+--hash[=\s]\s*\S+")
_OPTION = re.compile(r"(?:^|\s)(--?[A-Za-z][\w-]*)")
_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s*=\s*|\s*)(?P<path>.+)")
_VERSION_CONTROL = re.compile(r"(?:^|@\s*)(?:git|hg|svn|bzr)\+")
_LOCAL = re.compile(r"(?:^|@\s*)(?:file:|\.{0,2}/|~|\.$)")
_ONE_EQUALS_SIGN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s*=\s*(?P<version>[\w.*+!-]+)")
_INSTEAD = {
    "-e": "editable libraries are not supported; the project's folder is there in every session",
    "--editable": "editable libraries are not supported; the project's folder is there in every session",
    "-i": "name the index as python-index in [libraries] of envbox.toml",
    "--index-url": "name the index as python-index in [libraries] of envbox.toml",
}


def requirement(text: str) -> str:
    """The one spelling of a PEP 508 requirement. Raises ValueError, which says what is wrong with it."""
    stripped = text.strip()
    if _VERSION_CONTROL.search(stripped):
        raise ValueError(f"{shown(text)} comes from version control; only libraries of an index are supported")
    if _LOCAL.search(stripped):
        raise ValueError(f"{shown(text)} is on this machine only; only libraries of an index are supported")
    if stripped.startswith(("http://", "https://")):
        raise ValueError(f'{shown(text)} is a URL without a name; write "name @ URL"')
    single = _ONE_EQUALS_SIGN.fullmatch(stripped)
    if single:
        raise ValueError(f'{shown(text)} has one equals sign; write "{single["name"]}=={single["version"]}"')
    try:
        return _normal(Requirement(stripped))
    except RecursionError:
        raise ValueError(f"{shown(text)} is not a requirement: it is nested too deeply") from None
    except ValueError as error:
        reason = str(error).split("\n", 1)[0]
        raise ValueError(f"{shown(text)} is not a requirement: {reason[:1].lower()}{reason[1:]}") from None


def _normal(parsed: Requirement) -> str:
    """Not str(): its blanks and its order differ from one release of packaging to the next."""
    if parsed.url:
        _check_url(parsed.url)
    extras = ",".join(sorted(map(canonicalize_name, parsed.extras)))
    versions = ",".join(sorted(map(str, parsed.specifier)))
    place = f" @ {parsed.url} " if parsed.url and parsed.marker else f" @ {parsed.url}" if parsed.url else ""
    marker = f"; {parsed.marker}" if parsed.marker else ""
    return canonicalize_name(parsed.name) + (f"[{extras}]" if extras else "") + versions + place + marker


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("only http and https URLs are supported")
    if parts.username is not None:
        raise ValueError("a URL must not hold a user name or password, since the lock would carry them on")


def listed_requirements(section: Section, key: str) -> list[str]:
    """The requirements in the list at `key`."""
    found: list[str] = []
    for index, text in section.items(key, str, example='["numpy>=2"]'):
        try:
            normal = requirement(text)
        except ValueError as error:
            section.wrong(str(error), key, index)
            continue
        if normal in found:
            section.wrong(f"{shown(normal)} is listed twice", key, index)
        found.append(normal)
    return found


def failure(error: OSError | ValueError) -> str:
    """Why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8 text"
    return error.strerror or str(error) if isinstance(error, OSError) else "no file can have that name"


class RequirementFiles:
    """Reads requirements out of a project's other files, and keeps which files those were."""

    def __init__(self, read: Callable[[str], str], found: list[Problem]) -> None:
        self.sources: list[str] = []
        self._read = read
        self._found = found

    def project(self, path: str, note: Callable[[str], None]) -> list[str]:
        """`[project.dependencies]` of a pyproject.toml. `note` takes what is wrong with the whole file."""
        text = self._text(path, note)
        if text is None:
            return []
        try:
            values = toml.loads(text)
        except toml.TomlError as error:
            self._found.append(Problem(path, error.line, "", f"is not valid TOML: {error.reason}"))
            return []
        top = Section(values, (), Problems(path, text, self._found))
        if "project" not in values:
            note(f"{path} has no [project] table")
        table = top.table("project")
        if "dependencies" in (table.value("dynamic", list) or []):
            table.wrong("dependencies are computed when the project is built; list them in the file", "dynamic")
            return []
        return listed_requirements(table, "dependencies")

    def file(self, path: str, note: Callable[[str], None], parents: tuple[str, ...] = ()) -> list[str]:
        """A requirements.txt and those it includes. `note` takes what is wrong with the whole file."""
        path = os.path.normpath(path)
        if path in parents:
            note(f"{path} includes itself: {' -> '.join((*parents, path))}")
            return []
        requirements: list[str] = []
        for number, line in _logical_lines(self._text(path, note) or ""):
            include = _INCLUDE.fullmatch(line)
            if include:
                requirements += self._include(include["path"], number, (*parents, path))
                continue
            try:
                requirements.append(_requirement_of_line(line))
            except ValueError as error:
                self._found.append(Problem(path, number, "", str(error)))
        return requirements

    def _include(self, name: str, line: int, parents: tuple[str, ...]) -> list[str]:
        def note(message: str) -> None:
            self._found.append(Problem(parents[-1], line, "", message))

        path = name.strip("\"'")
        if "://" in path or os.path.isabs(path) or not path.isprintable():
            note(f"{shown(path)} is not a path relative to this file")
            return []
        return self.file(os.path.join(os.path.dirname(parents[-1]), path), note, parents)

    def _text(self, path: str, note: Callable[[str], None]) -> str | None:
        try:
            text = self._read(path)
        except (OSError, ValueError) as error:
            note(f"{path} cannot be read: {failure(error)}")
            return None
        if path not in self.sources:
            self.sources.append(path)
        return text


def _requirement_of_line(line: str) -> str:
    text = _HASH.sub("", line)
    option = _OPTION.search(text)
    if option:
        raise ValueError(_INSTEAD.get(option[1], f"the option {option[1]} is not supported here"))
    return requirement(text)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines as pip joins them, without comments and blanks, each with the number of its first."""
    start, joined = 0, ""
    lines = text.removeprefix("\ufeff").split("\n")
    for number, physical in enumerate(lines, start=1):
        line = physical.rstrip("\r")
        start = start or number
        # A comment takes no continuation: a backslash at its end belongs to it.
        if line.endswith("\\") and not line.lstrip().startswith("#") and number < len(lines):
            joined += line[:-1]
            continue
        whole = _COMMENT.sub("", joined + (f" {line}" if line.lstrip().startswith("#") else line)).strip()
        if whole:
            yield start, whole
        start, joined = 0, ""
