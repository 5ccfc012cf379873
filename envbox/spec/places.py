from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from envbox.spec.checker import nearest, shown
from envbox.spec.values import DEFAULT_SOURCES

if TYPE_CHECKING:
    from envbox.spec.checker import Section

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FILE_NAME = re.compile(r"(?!\.+$)[^/\x00-\x1f\x7f]+")
_LOGIN = "must not hold a user name or password, since the {} would carry them on"


def is_file_name(text: str) -> bool:
    """Whether a file of a folder can have this name (NAME_MAX of limits.h: 255 bytes), and a line can show it."""
    return bool(_FILE_NAME.fullmatch(text)) and len(text.encode("utf-8", "surrogatepass")) <= 255


def url_fault(url: str) -> str:
    """Why `url` is not that of a folder on a server; empty: it is."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    plain = not (re.search(r"[\s\x00-\x1f\x7f\\]", url) or "?" in url or "#" in url)
    return "" if valid and plain else f"{shown(url)} is not the URL of a folder on an http or https server"


def url(section: Section, key: str, *, example: str = "https://mirror.example.org/debian") -> str:
    """The URL at `key`, empty where there is none; without the slash at its end."""
    text = section.text(key, example=f'"{example}"')
    fault = url_fault(text) if text else ""
    if fault:
        section.wrong(fault, key)
        return ""
    if _has_login(text):  # not shown: it may hold a password
        section.wrong(_LOGIN.format("lock"), key)
    return text.rstrip("/")


def _has_login(text: str) -> bool:
    return "@" in text.partition("://")[2].partition("/")[0]


def relative_path(section: Section, key: str) -> str:
    """The path of a file of the project at `key`, empty where there is none."""
    path = section.text(key)
    if path and (os.path.isabs(path) or path.startswith("~") or _CONTROL.search(path)):
        section.wrong(f"{shown(path)} is not a path relative to the project's folder", key)
        return ""
    return posixpath.normpath(path) if path else ""


def source(text: str) -> str:
    """A source as everybody spells it: `mirror`, `snapshot`, a URL, an absolute path. Raises ValueError."""
    if text in DEFAULT_SOURCES:
        return text
    if "://" in text:
        fault = url_fault(text)
        if fault:
            raise ValueError(fault)
        return text.rstrip("/")
    path = os.path.expanduser(text)
    if not path.startswith("/") or _CONTROL.search(path):
        there_are = '"mirror", "snapshot", the URL of a cache, the absolute path of a store'
        raise ValueError(f"{shown(text)} is no source; there are {there_are}{nearest(text, DEFAULT_SOURCES)}")
    return os.path.normpath(path)


def read_sources(top: Section) -> tuple[str, ...]:
    """The list `sources`, or what it is if it is not written."""
    if "sources" not in top.values:
        return DEFAULT_SOURCES
    found: dict[str, None] = {}
    for index, text in top.items("sources", str, example='["mirror", "snapshot", "/srv/envbox/store"]'):
        try:
            name = source(text)
        except ValueError as error:
            top.wrong(str(error), "sources", index)
            continue
        if _has_login(name):
            top.wrong(_LOGIN.format("project"), "sources", index)
        elif name in found:
            top.wrong(f"{shown(text)} is listed twice", "sources", index)
        found[name] = None
    if not found and top.values["sources"] == []:
        top.wrong('names nothing; leave it out, or write sources = ["mirror", "snapshot"]', "sources")
    return tuple(found)
