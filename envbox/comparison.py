"""Two locks -> what differs between them, in the words of people. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from envbox.formats import debian_version
from envbox.lock import by_name
from envbox.plan import layers_of
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from envbox.lock import ArchiveState, Lock
    from envbox.values import Artifact

_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")


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
    """The sections that have changes, in the order in which one thing leads to another.

    Together with `layer_pairs` it is empty for equal locks alone.
    """
    sections = [
        Section("base", _changes(_base(before), _base(after))),
        Section("repositories", _changes(_repositories(before), _repositories(after))),
        Section("archives", _archive_changes(before, after)),
        Section("requested", _changes(_requested(before), _requested(after))),
        Section("packages", _artifact_changes(_packages(before), _packages(after), debian_version.key)),
        Section("groups", _changes(_groups(before), _groups(after))),
        *(section for language in _languages(before, after) for section in _libraries(before, after, language)),
        Section("steps", _changes(_steps(before), _steps(after))),
    ]
    found = tuple(section for section in sections if section.changes)
    if found or before == after or layer_pairs(before, after):
        return found
    return (Section("other", _changes(dict(_leaves(before)), dict(_leaves(after)))),)


def layer_pairs(before: Lock, after: Lock) -> tuple[LayerPair, ...]:
    """Layers that differ, the lowest first."""
    old, new = _layers(before), _layers(after)
    pairs = (LayerPair(title, old.get(title), new.get(title)) for title in {**old, **new})
    return tuple(pair for pair in pairs if pair.before != pair.after)


def _layers(lock: Lock) -> dict[str, Digest | None]:
    return {step.title: step.recorded for step in layers_of(lock)}


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(_change(name, before.get(name, ""), after.get(name, "")) for name in names)


def _change(name: str, before: str, after: str) -> Change:
    """With digests in short, unless that made two of them look the same."""
    old, new = (_DIGEST.sub(lambda digest: digest[1], text) for text in (before, after))
    return Change(name, old, new) if old != new else Change(name, before, after)


def _base(lock: Lock) -> dict[str, str]:
    request = lock.request
    values = {
        "name": request.base,
        "mirror": request.mirror,
        "security-mirror": request.security_mirror,
        "key": request.key,
        "snapshot": request.snapshot,
        "snapshot-mirror": request.snapshot_mirror,
        "python-index": request.python_index,
        "architecture": lock.architecture.value,
        "recipe": str(lock.recipe),
        "epoch": _date(lock.epoch, "seconds"),
    }
    return {name: value for name, value in values.items() if value}


def _repositories(lock: Lock) -> dict[str, str]:
    values = {}
    for repository in lock.request.repositories:
        values[f"{repository.name}, suite"] = f"{repository.suite} {' '.join(repository.components)}"
        values[f"{repository.name}, url"] = repository.url
        values[f"{repository.name}, key"] = f"{repository.key} ({repository.fingerprint})"
    return values


def _archive_changes(before: Lock, after: Lock) -> tuple[Change, ...]:
    """What an archive of another day promises is other: told of those of the same day alone."""
    old, new = ({state.name: state for state in lock.archives} for lock in (before, after))
    same = {name for name in old.keys() & new.keys() if _day(old[name]) == _day(new[name])}
    return _changes(*({k: v for it in some.values() for k, v in _archive(it, it.name in same)} for some in (old, new)))


def _day(state: ArchiveState) -> str:
    return f"{state.suite} of {_date(state.date, 'minutes')}"


def _archive(state: ArchiveState, with_promises: bool) -> Iterator[tuple[str, str]]:
    yield state.name, _day(state)
    yield f"{state.name}, url", state.url
    if state.signers:
        yield f"{state.name}, signers", " ".join(state.signers)
    if any(state.components):
        yield f"{state.name}, components", " ".join(state.components)
    if state.key:
        yield f"{state.name}, key", str(Digest.of("\n".join(state.key).encode()))
    if with_promises:
        yield f"{state.name}, release", str(state.release)
        yield from ((f"{state.name}, index {index.path}", str(index.digest)) for index in state.indexes)


def _date(seconds: int, precision: str) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None).isoformat(" ", precision)


def _requested(lock: Lock) -> dict[str, str]:
    kinds = (("package", lock.request.packages), ("python", lock.request.python))
    return {f"{kind} {name}": " and ".join(some) for kind, all_ in kinds for name, some in by_name(all_).items()}


def _packages(lock: Lock) -> dict[str, Artifact]:
    """By name; those of a name that a lower group has already also by their group."""
    found: dict[str, Artifact] = {}
    for group in lock.groups:
        for it in group.artifacts:
            found[f"{it.name}, group {group.name}" if it.name in found else it.name] = it
    return found


def _groups(lock: Lock) -> dict[str, str]:
    """The base is there always."""
    return {
        group.name: f"at {number}: {' '.join(group.requested)}" for number, group in enumerate(lock.groups) if number
    }


def _artifact_changes(
    old: Mapping[str, Artifact], new: Mapping[str, Artifact], order: Callable[[str], Any]
) -> tuple[Change, ...]:
    """By versions and origins; of one version that is two files, the digests tell, of one file, where it is."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one and other:
            found += _artifact_change(name, one, other, order)
        else:
            found.append(Change(name, one.version if one else "", other.version if other else ""))
    return tuple(found)


def _artifact_change(name: str, one: Artifact, other: Artifact, order: Callable[[str], Any]) -> list[Change]:
    if one.version == other.version and one.digest == other.digest:
        before, after = (" ".join(filter(None, (it.version, "from", it.archive, it.source))) for it in (one, other))
        return [Change(name, before, after)] if before != after else []
    moved = _origin(one) != _origin(other)
    before, after = (f" from {_origin(it)}" if moved else "" for it in (one, other))
    if one.version == other.version:
        return [_change(name, f"{one.version} ({one.digest}){before}", f"{other.version} ({other.digest}){after}")]
    direction = "newer" if order(other.version) > order(one.version) else "older"
    return [Change(name, one.version + before, other.version + after, direction)]


def _origin(artifact: Artifact) -> str:
    """The archive, or the server."""
    return artifact.archive or "/".join(artifact.source.split("/")[:3])


def _libraries(before: Lock, after: Lock, language: str) -> Iterator[Section]:
    old, new = (next((it for it in lock.libraries if it.language == language), None) for lock in (before, after))
    interpreters = ({"interpreter": it.interpreter} if it else {} for it in (old, new))
    one, other = (_named(it.tools if it else ()) for it in (old, new))
    yield Section(f"{language} tools", (*_changes(*interpreters), *_artifact_changes(one, other, _library_order)))
    one, other = (_named(it.artifacts if it else ()) for it in (old, new))
    yield Section(f"{language} libraries", _artifact_changes(one, other, _library_order))


def _named(artifacts: tuple[Artifact, ...]) -> dict[str, Artifact]:
    return {artifact.name: artifact for artifact in artifacts}


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
        texts.update({f"{step.name}, input {it.name}": f"{it.source} ({it.digest})" for it in step.inputs})
    return texts


def _leaves(value: object, path: str = "lock") -> Iterator[tuple[str, str]]:
    """Each part of a lock that has no parts, as a line."""
    if isinstance(value, tuple):
        for number, item in enumerate(value, 1):
            yield from _leaves(item, f"{path} {number}")
    elif is_dataclass(value) and not isinstance(value, Digest):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name), f"{path} {field.name}")
    else:
        yield path, str(value)
