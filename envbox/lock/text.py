from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from envbox.errors import LockInvalid
from envbox.formats import toml
from envbox.formats.toml_positions import positions
from envbox.lock.reader import Fault, Table
from envbox.lock.values import ArchiveIndex, ArchiveState, Group, LibrarySet, Lock, Request
from envbox.values import Architecture, Artifact, Digest, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
_NEEDS = "envbox>=0.1"  # the oldest envbox that reads FORMAT
_HEADER = "# Written by envbox. Do not edit; change envbox.toml and run `envbox lock`.\n"
_ANEW = "Take the file back from version control, or run `envbox lock` to write it anew."
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")
_RELATIVE = re.compile(r"(?!/)(?!(?:.*/)?\.\.?(?:/|$))[^\s\\\x00-\x1f\x7f]+")


def loads(text: str, *, file: str = "envbox.lock") -> Lock:
    """Read a lock. Raises LockInvalid, which names the line where it can."""
    try:
        values = toml.loads(text)
    except toml.TomlError as error:
        problem = Problem(file, error.line, "", f"is not valid TOML: {error.reason}")
        if error.conflict:
            hint = "Settle the conflict in envbox.toml, then run `envbox lock`, which writes the lock anew."
            raise LockInvalid(str(problem), hint=hint) from None
        raise LockInvalid(str(problem), hint=_ANEW) from None
    _check_format(values.get("format"), values.get("needs"), file)
    table = Table(values)
    try:
        lock = _read_lock(table)
        table.finish()
    except Fault as fault:
        key = ".".join(part for part in fault.path if isinstance(part, str))
        line = positions(text).get(fault.path, 0)
        raise LockInvalid(str(Problem(file, line, key, fault.message)), hint=_ANEW) from None
    return lock


def _check_format(found: object, needs: object, file: str) -> None:
    if type(found) is not int:
        raise LockInvalid(f"{file}: it has no format number, so it is not an envbox.lock", hint=_ANEW)
    if found != FORMAT:
        wanted = needs if isinstance(needs, str) and re.fullmatch(r"envbox>=[0-9.]+", needs) else "envbox"
        raise LockInvalid(
            f"{file}: it has lock format {found}, and this envbox reads format {FORMAT}",
            hint=f'Upgrade with `python3 -m pip install --upgrade "{wanted}"`, or run `envbox lock`.',
        )


def _read_lock(table: Table) -> Lock:
    table.number("format")
    table.text("needs")
    architecture = table.text("architecture")
    if architecture not in {known.value for known in Architecture}:
        raise table.fault(f'this envbox does not know "{architecture}"', "architecture")
    archives = table.tables("archive", _read_archive, lambda archive: archive.name)
    names = {archive.name for archive in archives}
    return Lock(
        recipe=table.number("recipe"),
        architecture=Architecture(architecture),
        epoch=table.time("epoch"),
        request=table.table("request", _read_request),
        archives=archives,
        groups=table.tables("group", lambda group: _read_group(group, names), lambda group: group.name),
        libraries=table.tables("library", lambda library: _read_library(library, names), lambda it: it.language),
    )


def _read_request(table: Table) -> Request:
    return Request(
        base=table.text("base"),
        mirror=table.optional_text("mirror"),
        security_mirror=table.optional_text("security-mirror"),
        key=table.optional_text("key"),
        packages=table.texts("packages"),
        python=table.texts("python"),
        python_index=table.optional_text("python-index"),
    )


def _read_archive(table: Table) -> ArchiveState:
    url = table.text("url")
    if not _URL.fullmatch(url):
        raise table.fault(f"{url!r} is not an http or https URL", "url")
    return ArchiveState(
        name=table.word("name"),
        url=url,
        suite=table.text("suite"),
        date=table.time("date"),
        release=table.digest("release"),
        signers=table.texts("signers"),
        indexes=table.tables("indexes", _read_index, lambda index: index.path),
    )


def _read_index(table: Table) -> ArchiveIndex:
    path = table.text("path")
    if not _RELATIVE.fullmatch(path):
        raise table.fault(f"{path!r} is not a path below the archive's own", "path")
    return ArchiveIndex(path, table.number("size"), table.digest("digest"))


def _read_group(table: Table, archives: set[str]) -> Group:
    return Group(
        name=table.word("name"),
        requested=table.texts("requested"),
        unpacked=table.optional_digest("unpacked"),
        configured=table.optional_digest("configured"),
        artifacts=_read_artifacts(table, "artifacts", archives),
    )


def _read_library(table: Table, archives: set[str]) -> LibrarySet:
    return LibrarySet(
        language=table.word("language"),
        interpreter=table.text("interpreter"),
        layer=table.optional_digest("layer"),
        tools=_read_artifacts(table, "tools", archives),
        artifacts=_read_artifacts(table, "artifacts", archives),
    )


def _read_artifacts(table: Table, key: str, archives: set[str]) -> tuple[Artifact, ...]:
    return table.tables(key, lambda artifact: _read_artifact(artifact, archives), lambda it: it.name)


def _read_artifact(table: Table, archives: set[str]) -> Artifact:
    archive, source = table.optional_text("archive"), table.text("source")
    if archive and archive not in archives:
        raise table.fault(f'there is no archive "{archive}" in this lock', "archive")
    if archive and not _RELATIVE.fullmatch(source):
        raise table.fault(f"{source!r} is not a path below the archive's URL", "source")
    if not archive and not _URL.fullmatch(source):
        raise table.fault(f"{source!r} is not an http or https URL", "source")
    return Artifact(
        name=table.word("name"),
        version=table.word("version"),
        source=source,
        size=table.number("size"),
        digest=table.digest("digest"),
        archive=archive,
    )


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
        *map(_archive_table, lock.archives),
        *map(_group_table, lock.groups),
        *map(_library_table, lock.libraries),
    ]  # fmt: skip
    return "\n".join(parts)


def _request_table(request: Request) -> str:
    return _table("[request]", {
        "base": request.base,
        "mirror": request.mirror or None,
        "security-mirror": request.security_mirror or None,
        "key": request.key or None,
        "packages": request.packages,
        "python": request.python,
        "python-index": request.python_index or None,
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


_Listed = str | Artifact | ArchiveIndex


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
    place: dict[str, toml.Scalar] = {"archive": value.archive} if value.archive else {}
    return toml.inline_table({"name": value.name, "version": value.version} | known | place | {"source": value.source})


def _time(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)
