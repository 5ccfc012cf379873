"""Real .debs of a Debian base, downloaded once, so that a hermetic archive can hold a base that really works."""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import re
from typing import TYPE_CHECKING

from envbox.host.fetch import Download, Fetcher
from envbox.report import Silent
from envbox.values import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MIRROR = "http://deb.debian.org/debian"
CODENAMES = {"11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky"}
WANTED = ("apt", "ca-certificates", "python3")

Stanza = dict[str, str]


def real_base_debs(release: str = "13", *, wanted: Sequence[str] = WANTED, architecture: str = "amd64") -> list[str]:
    """Paths of Essential + Priority required + `wanted` and all they depend on, for "13", "debian:13" or "trixie".

    Chosen once and kept in $ENVBOX_TEST_CACHE, else ~/.cache/envbox-tests: from then on no network is needed.
    Beside each is a file `.stanza`, what the archive's Packages said of it.
    """
    release = release.removeprefix("debian:")
    codename = CODENAMES.get(release, release)
    folder = os.environ.get("ENVBOX_TEST_CACHE") or os.path.expanduser("~/.cache/envbox-tests")
    os.makedirs(f"{folder}/debs", exist_ok=True)
    choice = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:8]
    chosen = f"{folder}/{codename}-{architecture}-{choice}.list"
    with open(f"{folder}/lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(chosen):
            _download(codename, architecture, wanted, folder, chosen)
    with open(chosen, encoding="utf-8") as file:
        return [f"{folder}/debs/{line}" for line in file.read().split()]


def _download(codename: str, architecture: str, wanted: Sequence[str], folder: str, chosen: str) -> None:
    work = []
    with Fetcher() as fetcher:
        index = fetcher.get(f"{MIRROR}/dists/{codename}/main/binary-{architecture}/Packages.xz")
        for stanza in closure(dict(_parsed(lzma.decompress(index).decode())), wanted):
            name = os.path.basename(stanza["Filename"])
            with open(f"{folder}/debs/{name}.stanza", "w", encoding="utf-8") as file:
                file.write(stanza["text"])
            digest = Digest(stanza["SHA256"])
            what = Download((f"{MIRROR}/{stanza['Filename']}",), int(stanza["Size"]), digest, name)
            work.append((what, f"{folder}/debs/{name}"))
        fetcher.download_all(work, Silent(), lambda *_: None)
    with open(f"{chosen}.new", "w", encoding="utf-8") as file:
        file.write("".join(f"{os.path.basename(path)}\n" for _, path in work))
    os.replace(f"{chosen}.new", chosen)


def _parsed(index: str) -> Iterator[tuple[str, Stanza]]:
    for text in index.split("\n\n"):
        if text.strip():
            stanza = dict(re.findall(r"^([\w-]+): (.*)$", text, re.MULTILINE))
            yield stanza["Package"], {**stanza, "text": text + "\n"}


def closure(packages: Mapping[str, Stanza], wanted: Sequence[str]) -> list[Stanza]:
    """The base and `wanted` with their dependencies, by name. Versions are not compared: one suite fits itself."""
    provided: dict[str, list[str]] = {}
    for name, stanza in packages.items():
        for virtual in _names(stanza.get("Provides", "").replace(",", "|")):
            provided.setdefault(virtual, []).append(name)
    base = [
        name
        for name, stanza in packages.items()
        if stanza.get("Essential") == "yes" or stanza.get("Priority") == "required"
    ]
    chosen: dict[str, Stanza] = {}
    waiting = [*base, *wanted]
    while waiting:
        name = waiting.pop()
        if name in chosen:
            continue
        chosen[name] = packages[name]
        for field in ("Pre-Depends", "Depends"):
            for clause in filter(None, chosen[name].get(field, "").split(",")):
                alternatives = [
                    found
                    for name in _names(clause)
                    for found in ([name] if name in packages else []) + provided.get(name, [])
                ]
                if not any(other in chosen or other in waiting for other in alternatives):
                    waiting.append(alternatives[0])
    return [chosen[name] for name in sorted(chosen)]


def _names(clause: str) -> list[str]:
    return [part.split()[0].partition(":")[0] for part in clause.split("|") if part.strip()]
