from __future__ import annotations

import re

from envbox.errors import LockInvalid
from envbox.formats import toml
from envbox.formats.toml_positions import positions
from envbox.lock.reader import Fault, Table
from envbox.lock.values import ArchiveIndex, ArchiveState, BuildStep, Group, LibrarySet, Lock, Request, StepInput
from envbox.spec import Repository
from envbox.spec.places import is_file_name
from envbox.values import Architecture, Artifact, Problem

FORMAT = 1
_ANEW = "Take the file back from version control, or run `envbox lock` to write it anew."
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")
_PROJECT_PATH = re.compile(r"(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\x00-\x1f\x7f]+")
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
        steps=table.tables("step", _read_step, lambda step: step.name),
    )


def _read_request(table: Table) -> Request:
    return Request(
        base=table.text("base"),
        mirror=table.optional_text("mirror"),
        security_mirror=table.optional_text("security-mirror"),
        key=table.optional_text("key"),
        snapshot=table.optional_text("snapshot"),
        snapshot_mirror=table.optional_text("snapshot-mirror"),
        repositories=table.tables("repository", _read_repository, lambda repository: repository.name),
        packages=table.texts("packages"),
        python=table.texts("python"),
        python_index=table.optional_text("python-index"),
    )


def _read_repository(table: Table) -> Repository:
    return Repository(
        name=table.word("name"),
        url=table.text("url"),
        suite=table.text("suite"),
        components=table.texts("components"),
        key=table.text("key"),
        fingerprint=table.text("fingerprint"),
    )


def _read_archive(table: Table) -> ArchiveState:
    url = table.text("url")
    if not _URL.fullmatch(url):
        raise table.fault(f"{url!r} is not an http or https URL", "url")
    return ArchiveState(
        name=table.word("name"),
        url=url,
        suite=_plain(table, "suite"),
        date=table.time("date"),
        release=table.digest("release"),
        signers=table.texts("signers"),
        indexes=table.tables("indexes", _read_index, lambda index: index.path),
        key=table.texts("key") if table.has("key") else (),
    )


def _plain(table: Table, key: str) -> str:
    text = table.text(key)
    if not _RELATIVE.fullmatch(text):
        raise table.fault(f"{text!r} is not a path below another", key)
    return text


def _read_index(table: Table) -> ArchiveIndex:
    return ArchiveIndex(_plain(table, "path"), table.number("size"), table.digest("digest"))


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


def _read_step(table: Table) -> BuildStep:
    return BuildStep(
        name=table.word("name"),
        run=table.text("run"),
        layer=table.optional_digest("layer"),
        inputs=table.tables("inputs", _read_input, lambda it: it.name),
    )


def _read_input(table: Table) -> StepInput:
    name, source = table.text("name"), table.text("source")
    if not is_file_name(name):
        raise table.fault(f"{name!r} is not a file's name", "name")
    if not (_URL.fullmatch(source) or _PROJECT_PATH.fullmatch(source)):
        raise table.fault(f"{source!r} is neither a URL nor a path of the project", "source")
    return StepInput(name, source, table.number("size"), table.digest("digest"))


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
