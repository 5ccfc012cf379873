from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from envbox.spec.checker import Section, shown
from envbox.spec.places import is_file_name
from envbox.spec.values import Step, StepInput
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def read_steps(top: Section, expect: Callable[[Section], Section]) -> tuple[Step, ...]:
    """The `[[step]]` tables, in their order."""
    steps: dict[str, Step] = {}
    for index, values in top.items("step", dict, example='[{ name = "model", run = "make" }]'):
        section = expect(Section(values, ("step", index), top.problems))
        step = _step(section, values, expect)
        if step.name and step.name in steps:
            section.wrong(f"{shown(step.name)} is the name of two steps", "name")
        steps.setdefault(step.name, step)
    return tuple(steps.values())


def _step(section: Section, values: dict[str, Any], expect: Callable[[Section], Section]) -> Step:
    name, run = section.text("name"), section.text("run")
    for key in ("name", "run"):
        if key not in values:
            section.wrong("is missing", key)
    if name and not _NAME.fullmatch(name):
        section.wrong(f"{shown(name)} is not a name: letters, digits, - _ . that begin with a letter or digit", "name")
    if "\0" in run:
        section.wrong("no command can hold a NUL character", "run")
    inputs: dict[str, StepInput] = {}
    example = '[{ url = "https://example.org/model.tar.gz", sha256 = "..." }, { path = "scripts/install.sh" }]'
    for index, item in section.items("inputs", dict, example=example):
        part = expect(Section(item, (*section.path, "inputs", index), section.problems))
        found = _input(part, item)
        if found and found.name in inputs:
            part.wrong(f"two inputs would be /inputs/{found.name}; give one of them another `name`")
        if found:
            inputs.setdefault(found.name, found)
    return Step(name, run, tuple(inputs.values()))


def _input(section: Section, values: dict[str, Any]) -> StepInput | None:
    if ("url" in values) == ("path" in values):
        section.wrong("must have either url or path")
        return None
    if "path" in values:
        return _project_input(section, values)
    return _download(section, values)


def _project_input(section: Section, values: dict[str, Any]) -> StepInput | None:
    path = section.text("path")
    if "sha256" in values:
        section.wrong("is for a url; envbox.lock records what a path of the project holds", "sha256")
    if not path:
        return None
    plain = posixpath.normpath(path)
    leaves = plain in {".", ".."} or plain.startswith("../")
    if os.path.isabs(path) or leaves or path.startswith("~") or re.search(r"[\x00-\x1f\x7f]", path):
        section.wrong(f"{shown(path)} is not the path of a file or folder below the project's own", "path")
        return None
    return _named(section, posixpath.basename(plain), path=plain)


def _download(section: Section, values: dict[str, Any]) -> StepInput | None:
    url, text = section.text("url"), section.text("sha256")
    if "sha256" not in values:
        section.wrong("is missing: what is fetched has to be known beforehand", "sha256")
    digest = _SHA256.fullmatch(text)
    if text and not digest:
        section.wrong(f"{shown(text)} is not a sha256: 64 hexadecimal digits, in lower case", "sha256")
    if url and not _is_url(url):
        section.wrong(f"{shown(url)} is not an http or https URL without a user name or password", "url")
        return None
    if not (url and digest):
        return None
    name = posixpath.basename(unquote(urlsplit(url).path.rstrip("/")))
    return _named(section, name, url=url, digest=Digest(digest[1]))


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = not re.search(r"[\s\x00-\x1f\x7f]", url)
    return plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None


def _named(section: Section, default: str, *, url: str = "", path: str = "", digest: Digest | None = None) -> StepInput:
    name = section.text("name") or default
    if not is_file_name(name):
        section.wrong(f"{shown(name)} is not a file's name; give the input a `name`", "name")
    return StepInput(name, url=url, path=path, digest=digest)
