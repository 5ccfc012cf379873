"""Two locks -> what differs between them, in the words of people. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from envbox.formats import debian_version
from envbox.plan import layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from envbox.lock import Lock
    from envbox.values import Artifact, Digest

_NAME = re.compile(r"[^\s=<>!~;@\[(]+")


@dataclass(frozen=True)
class Change:
    """Something that was `before` and is `after`; empty: it was not there, or is no more.

    `direction` is `newer` or `older` where versions can be compared.
    """

    name: str
    before: str
    after: str
    direction: str = ""


@dataclass(frozen=True)
class Section:
    """All changes of one kind."""

    title: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class LayerPair:
    """A layer of both locks by its title, None where one has no such layer or does not know its digest."""

    title: str
    before: Digest | None
    after: Digest | None


def compare(before: Lock, after: Lock) -> tuple[Section, ...]:
    """The sections that have changes, in the order in which one thing leads to another."""
    sections = [
        Section("base", _changes(_base(before), _base(after))),
        Section("archives", _changes(_archives(before), _archives(after))),
        Section("requested", _changes(_requested(before), _requested(after))),
        Section("packages", _artifact_changes(_packages(before), _packages(after), debian_version.key)),
        *(_libraries(before, after, language) for language in _languages(before, after)),
        Section("steps", _changes(_steps(before), _steps(after))),
    ]
    return tuple(section for section in sections if section.changes)


def layer_pairs(before: Lock, after: Lock) -> tuple[LayerPair, ...]:
    """Layers that differ, the lowest first."""
    old, new = _layers(before), _layers(after)
    pairs = (LayerPair(title, old.get(title), new.get(title)) for title in {**old, **new})
    return tuple(pair for pair in pairs if pair.before != pair.after)


def _layers(lock: Lock) -> dict[str, Digest | None]:
    return {step.title: step.recorded for step in layers_of(lock)}


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(Change(name, before.get(name, ""), after.get(name, "")) for name in names)


def _base(lock: Lock) -> dict[str, str]:
    request = lock.request
    values = {
        "name": request.base,
        "mirror": request.mirror,
        "security-mirror": request.security_mirror,
        "key": request.key,
        "python-index": request.python_index,
        "architecture": lock.architecture.value,
        "recipe": str(lock.recipe),
    }
    return {name: value for name, value in values.items() if value}


def _archives(lock: Lock) -> dict[str, str]:
    return {state.name: f"{state.suite} of {_date(state.date)}" for state in lock.archives}


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")


def _requested(lock: Lock) -> dict[str, str]:
    return {**_by_name("package", lock.request.packages), **_by_name("python", lock.request.python)}


def _by_name(kind: str, requests: Iterable[str]) -> dict[str, str]:
    """A library may be asked for once per marker."""
    found: dict[str, list[str]] = {}
    for request in sorted(requests):
        name = _NAME.match(request)
        found.setdefault(f"{kind} {name[0] if name else request}", []).append(request)
    return {name: " and ".join(texts) for name, texts in found.items()}


def _packages(lock: Lock) -> list[Artifact]:
    return [artifact for group in lock.groups for artifact in group.artifacts]


def _artifact_changes(
    before: Iterable[Artifact], after: Iterable[Artifact], order: Callable[[str], Any]
) -> tuple[Change, ...]:
    """By versions; of one version that is two files, the digests tell."""
    old, new = {artifact.name: artifact for artifact in before}, {artifact.name: artifact for artifact in after}
    found = []
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one and other and one.version != other.version:
            direction = "newer" if order(other.version) > order(one.version) else "older"
            found.append(Change(name, one.version, other.version, direction))
        elif one and other and one.digest != other.digest:
            found.append(Change(name, *(f"{it.version} ({it.digest.short})" for it in (one, other))))
        elif not (one and other):
            found.append(Change(name, one.version if one else "", other.version if other else ""))
    return tuple(found)


def _libraries(before: Lock, after: Lock, language: str) -> Section:
    old, new = ([a for s in lock.libraries if s.language == language for a in s.artifacts] for lock in (before, after))
    return Section(f"{language} libraries", _artifact_changes(old, new, _library_order))


def _languages(*locks: Lock) -> list[str]:
    return sorted({libraries.language for lock in locks for libraries in lock.libraries})


def _library_order(version: str) -> tuple[bool, Version | str]:
    try:
        return True, Version(version)
    except InvalidVersion:
        return False, version


def _steps(lock: Lock) -> dict[str, str]:
    """All that a step is made of, on one line each."""
    texts = {}
    for number, step in enumerate(lock.steps, 1):
        texts[f"{step.name}, order"] = str(number)
        texts[f"{step.name}, run"] = step.run
        texts.update({f"{step.name}, input {it.name}": f"{it.source} ({it.digest.short})" for it in step.inputs})
    return texts
