"""envbox.toml: text -> Spec. The only place that knows its keys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from envbox.errors import ProjectNotFound, SpecInvalid
from envbox.formats import toml
from envbox.spec.bases import BASES
from envbox.spec.checker import Problems, Section
from envbox.spec.editing import Change, with_added, with_removed
from envbox.spec.places import source
from envbox.spec.requirements import failure
from envbox.spec.rules import KEYS, read_spec, valid_name
from envbox.spec.template import template
from envbox.spec.values import (
    DEFAULT_SOURCES,
    Base,
    PackageRequest,
    PythonLibraries,
    Repository,
    SessionOptions,
    Spec,
    Step,
    StepInput,
    Volume,
)
from envbox.values import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BASES",
    "DEFAULT_SOURCES",
    "KEYS",
    "Base",
    "Change",
    "PackageRequest",
    "PythonLibraries",
    "Repository",
    "SessionOptions",
    "Spec",
    "Step",
    "StepInput",
    "Volume",
    "load",
    "parse",
    "source",
    "template",
    "valid_name",
    "with_added",
    "with_removed",
]


def parse(text: str, *, file: str, folder: str, read: Callable[[str], str]) -> Spec:
    """Check `text`. `folder` is the project's, `read` gives the text of another file by its path from there.

    Raises SpecInvalid, whose message lists every problem. What `read` raises (OSError, ValueError) is one.
    """
    found: list[Problem] = []
    try:
        values = toml.loads(text)
    except toml.TomlError as error:
        found.append(Problem(file, error.line, "", f"is not valid TOML: {error.reason}"))
        raise _invalid(found, file, folder) from None
    spec = read_spec(Section(values, (), Problems(file, text, found)), folder, read)
    if found:
        raise _invalid(found, file, folder)
    return spec


def _invalid(found: list[Problem], file: str, folder: str) -> SpecInvalid:
    ordered = sorted(dict.fromkeys(found), key=lambda problem: (problem.file != file, problem.file, problem.line))
    count = "1 problem" if len(ordered) == 1 else f"{len(ordered)} problems"
    lines = [f"{file} has {count}:", *(f"  {problem}" for problem in ordered)]
    return SpecInvalid(
        "\n".join(lines),
        hint=f"Correct {os.path.join(folder, file)}; envbox.toml.example shows every key that there is.",
    )


def load(path: str) -> Spec:
    """Read the envbox.toml at `path`. Raises ProjectNotFound, SpecInvalid."""
    folder, file = os.path.split(os.path.abspath(path))

    def read(relative: str) -> str:
        with open(os.path.join(folder, relative), encoding="utf-8-sig", newline="") as opened:
            return opened.read()

    try:
        text = read(file)
    except FileNotFoundError:
        raise ProjectNotFound(f"there is no {path}", hint="Run `envbox init` to write one.") from None
    except (OSError, ValueError) as error:
        raise SpecInvalid(
            f"{path} cannot be read: {failure(error)}", hint="Make it a text file in UTF-8 that you may read."
        ) from None
    return parse(text, file=file, folder=folder, read=read)
