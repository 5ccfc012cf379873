from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from envbox.spec.bases import BASES, release
from envbox.spec.checker import Section, shown
from envbox.spec.places import relative_path, url
from envbox.spec.values import Base, Repository

if TYPE_CHECKING:
    from collections.abc import Callable

    Expect = Callable[[Section], Section]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_TAKEN = frozenset({"main", "updates", "security", *BASES})
_SUITE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._~+-]|/(?=[A-Za-z0-9]))*")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")


def read_base(top: Section, expect: Expect) -> Base:
    """`base`, whether it is written short or as a table."""
    value = top.value("base", str, dict, example='"debian:13"')
    if "base" not in top.values:
        top.wrong('is missing; write base = "debian:13"', "base")
    if isinstance(value, str):
        return Base(*_release(value, top, "base"))
    table = expect(top.table("base") if isinstance(value, dict) else Section({}, ("base",), top.problems))
    name = table.text("name", example='"debian:13"')
    if isinstance(value, dict) and not {"name", "image"} & value.keys():
        table.wrong('is missing; write name = "debian:13"', "name")
    return Base(
        *(_release(name, table, "name") if name else ("", "")),
        mirror=url(table, "mirror"),
        security_mirror=url(table, "security-mirror"),
        key=relative_path(table, "key"),
        snapshot=_snapshot(table),
        snapshot_mirror=url(table, "snapshot-mirror", example="https://snapshot.example.org/archive"),
    )


def _release(text: str, section: Section, key: str) -> tuple[str, str]:
    try:
        return release(text)
    except ValueError as error:
        section.wrong(str(error), key)
        return "", ""


def _snapshot(table: Section) -> str:
    text = table.text("snapshot", example='"2026-11-01"')
    form = "%Y-%m-%d" if _DAY.fullmatch(text) else "%Y-%m-%dT%H:%M:%SZ" if _MOMENT.fullmatch(text) else ""
    try:
        if text:
            datetime.strptime(text, form)  # noqa: DTZ007 - only whether there is such a day
    except ValueError:
        example = '"2026-11-01" or "2026-11-01T12:00:00Z"'
        table.wrong(f"{shown(text)} is not a day or a moment in UTC; write it as {example}", "snapshot")
        return ""
    return text


def read_repositories(top: Section, expect: Expect) -> tuple[Repository, ...]:
    """The `[[repository]]` tables, by name: their order means nothing."""
    found: dict[str, Repository] = {}
    for index, values in top.items("repository", dict, example='[{ name = "team", ... }]'):
        section = expect(Section(values, ("repository", index), top.problems))
        repository = _repository(section, values)
        if repository.name and repository.name in found:
            section.wrong(f"{shown(repository.name)} is the name of two repositories", "name")
        found.setdefault(repository.name, repository)
    return tuple(sorted(found.values()))


def _repository(section: Section, values: dict[str, Any]) -> Repository:
    for key in ("name", "url", "suite", "key", "fingerprint"):
        if key not in values:
            section.wrong("is missing", key)
    return Repository(
        name=_name(section),
        url=url(section, "url", example="https://packages.example.org/debian"),
        suite=_suite(section),
        components=_components(section),
        key=relative_path(section, "key"),
        fingerprint=_fingerprint(section),
    )


def _name(section: Section) -> str:
    name = section.text("name", example='"team"')
    if name in _TAKEN:
        section.wrong(f"{shown(name)} is the name of an archive of the distribution", "name")
    elif name and not _NAME.fullmatch(name):
        rule = "at most 63 small letters, digits and - that begin with a letter"
        section.wrong(f"{shown(name)} is not a name: {rule}", "name")
    return name


def _suite(section: Section) -> str:
    suite = section.text("suite", example='"trixie"')
    if suite.endswith("/"):
        section.wrong(f"{shown(suite)} is a repository without dists/, which envbox cannot read", "suite")
    elif suite and not _SUITE.fullmatch(suite):
        section.wrong(f"{shown(suite)} is not the name of a suite", "suite")
    return suite


def _components(section: Section) -> tuple[str, ...]:
    if "components" not in section.values:
        return Repository.components
    found: dict[str, None] = {}
    for index, name in section.items("components", str, example='["main"]'):
        if not _SUITE.fullmatch(name):
            section.wrong(f"{shown(name)} is not the name of a component", "components", index)
        elif name in found:
            section.wrong(f"{shown(name)} is listed twice", "components", index)
        found[name] = None
    if section.values["components"] == []:
        section.wrong('names nothing; leave it out, or write components = ["main"]', "components")
    return tuple(sorted(found))


def _fingerprint(section: Section) -> str:
    text = section.text("fingerprint", example='"0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567"')
    found = re.sub(r"\s", "", text).upper()
    if text and not _FINGERPRINT.fullmatch(found):
        section.wrong(f"{shown(text)} is not the fingerprint of a key, which has 40 hexadecimal digits", "fingerprint")
    return found
