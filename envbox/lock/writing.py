from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from envbox.formats import toml
from envbox.lock.reading import FORMAT
from envbox.lock.values import ArchiveIndex, ArchiveState, BuildStep, Group, LibrarySet, Lock, Request, StepInput
from envbox.values import Artifact, Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envbox.spec import Repository

_NEEDS = "envbox>=0.1"  # the oldest envbox that reads FORMAT
_HEADER = "# Written by envbox. Do not edit; change envbox.toml and run `envbox lock`.\n"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def dumps(lock: Lock) -> str:
    """Its one canonical text: `loads(dumps(lock)) == lock`, and `dumps(loads(text)) == text`."""
    parts = [
        _HEADER,
        _table("", {
            "format": FORMAT,
            "needs": _NEEDS,
            "recipe": lock.recipe,
            "architecture": lock.architecture.value,
            "epoch": _time(lock.epoch),
        }),
        _request_table(lock.request),
        *map(_repository_table, lock.request.repositories),
        *map(_archive_table, lock.archives),
        *map(_group_table, lock.groups),
        *map(_library_table, lock.libraries),
        *map(_step_table, lock.steps),
    ]  # fmt: skip
    return "\n".join(parts)


def _request_table(request: Request) -> str:
    return _table("[request]", {
        "base": request.base,
        "mirror": request.mirror or None,
        "security-mirror": request.security_mirror or None,
        "key": request.key or None,
        "snapshot": request.snapshot or None,
        "snapshot-mirror": request.snapshot_mirror or None,
        "packages": request.packages,
        "python": request.python,
        "python-index": request.python_index or None,
    })  # fmt: skip


def _repository_table(repository: Repository) -> str:
    return _table("[[request.repository]]", {
        "name": repository.name,
        "url": repository.url,
        "suite": repository.suite,
        "components": repository.components,
        "key": repository.key,
        "fingerprint": repository.fingerprint,
    })  # fmt: skip


def _archive_table(archive: ArchiveState) -> str:
    return _table("[[archive]]", {
        "name": archive.name,
        "url": archive.url,
        "suite": archive.suite,
        "date": _time(archive.date),
        "release": archive.release,
        "signers": archive.signers,
        "indexes": archive.indexes,
        "key": archive.key or None,
    })  # fmt: skip


def _group_table(group: Group) -> str:
    return _table("[[group]]", {
        "name": group.name,
        "requested": group.requested,
        "unpacked": group.unpacked,
        "configured": group.configured,
        "artifacts": group.artifacts,
    })  # fmt: skip


def _library_table(library: LibrarySet) -> str:
    return _table("[[library]]", {
        "language": library.language,
        "interpreter": library.interpreter,
        "layer": library.layer,
        "tools": library.tools,
        "artifacts": library.artifacts,
    })  # fmt: skip


def _step_table(step: BuildStep) -> str:
    return _table("[[step]]", {
        "name": step.name,
        "run": step.run,
        "layer": step.layer,
        "inputs": step.inputs,
    })  # fmt: skip


_Listed = str | Artifact | ArchiveIndex | StepInput


def _table(header: str, values: Mapping[str, toml.Scalar | Digest | tuple[_Listed, ...] | None]) -> str:
    """A table with its header; keys whose value is None are left out."""
    lines = [header] if header else []
    for key, value in values.items():
        if isinstance(value, tuple):
            lines.append(f"{key} = {toml.list_of(map(_item, value))}")
        elif value is not None:
            lines.append(f"{key} = {toml.scalar(str(value) if isinstance(value, Digest) else value)}")
    return "\n".join(lines) + "\n"


def _item(value: _Listed) -> str:
    """One line for each, so that a diff shows which artifacts changed and how, and merges rarely conflict."""
    if isinstance(value, str):
        return toml.scalar(value)
    known: dict[str, toml.Scalar] = {"size": value.size, "digest": str(value.digest)}
    if isinstance(value, ArchiveIndex):
        return toml.inline_table({"path": value.path} | known)
    if isinstance(value, StepInput):
        return toml.inline_table({"name": value.name} | known | {"source": value.source})
    place: dict[str, toml.Scalar] = {"archive": value.archive} if value.archive else {}
    return toml.inline_table({"name": value.name, "version": value.version} | known | place | {"source": value.source})


def _time(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)
