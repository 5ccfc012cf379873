"""Changes to the text of an envbox.toml that leave its comments and its layout alone."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envbox.errors import SpecInvalid, UnknownPackage
from envbox.spec.requirements import requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LIBRARY = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Change:
    """Packages, and Python libraries, to ask for or not to ask for any more, as a spec spells them."""

    packages: tuple[str, ...] = ()
    python: tuple[str, ...] = ()


def with_added(text: str, change: Change) -> str:
    """`text` asking for more. A package that it has already gets the version asked for now. Raises SpecInvalid."""
    return _edited(text, change, _put)


def with_removed(text: str, change: Change) -> str:
    """`text` without what is named. Raises UnknownPackage where it does not ask for it, SpecInvalid."""
    return _edited(text, change, _take)


def _edited(text: str, change: Change, edit: Callable[[Any, Sequence[str], Callable[[str], str]], None]) -> str:
    import tomlkit  # slow to import, and wanted by those who edit alone

    document = tomlkit.parse(text)
    if change.packages:
        if "packages" not in document:
            _insert_packages(document)
        edit(document["packages"], change.packages, package_name)
    if change.python:
        table = document.setdefault("libraries", tomlkit.table())
        wanted = table.setdefault("python", tomlkit.array())
        if not isinstance(wanted, list):
            file = next((str(value) for value in wanted.values()), "a file")
            raise SpecInvalid(
                f"envbox.toml takes its Python libraries from {file}",
                hint=f"change {file}, then run `envbox lock`",
            )
        edit(wanted, change.python, library_name)
    return tomlkit.dumps(document)


def _insert_packages(document: Any) -> None:
    """Above the first table: what stands below one belongs to it."""
    import tomlkit

    body = document.body
    at = next((i for i, (key, item) in enumerate(body) if key is not None and _opens(item)), len(body))
    if at == len(body):
        document.append("packages", tomlkit.array())
        return
    document._insert_at(at, tomlkit.key("packages"), tomlkit.array())  # noqa: SLF001 - it has no public way


def _opens(item: Any) -> bool:
    """Whether it is a [table] or a list of [[tables]]."""
    return bool(item.is_table() or item.is_aot())


def package_name(text: str) -> str:
    """What a request of a package is for."""
    return text.partition("=")[0]


def library_name(text: str) -> str:
    """What a PEP 508 requirement is for, normalised."""
    with contextlib.suppress(ValueError):  # the spec's own check tells what is wrong with it
        text = requirement(text)
    found = _LIBRARY.match(text.strip())
    return found[0] if found else text


def _put(items: Any, wanted: Sequence[str], name_of: Callable[[str], str]) -> None:
    for text in wanted:
        at = next((i for i, item in enumerate(items) if name_of(str(item)) == name_of(text)), None)
        if at is None:
            items.append(text)
        elif items[at] != text and text != name_of(text):
            items[at] = text


def _take(items: Any, unwanted: Sequence[str], name_of: Callable[[str], str]) -> None:
    for text in unwanted:
        found = [i for i, item in enumerate(items) if name_of(str(item)) == name_of(text)]
        if not found:
            raise UnknownPackage(
                f"envbox.toml does not ask for {text!r}",
                hint=f"it asks for {', '.join(map(str, items)) or 'nothing'}; what those need is not removed by itself",
            )
        for index in reversed(found):
            del items[index]
