"""Signed Debian archives on disk that apt accepts.

archive = Archive(tmp_path / "debian", suites=("trixie", "trixie-updates"))
archive.add(DebRecipe("hello", files={"usr/bin/hello": b"#!/bin/sh\necho hello\n"}).build())
archive.publish()
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import lzma
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.debs import DebRecipe, File, Folder, HardLink, Link, control_of, device, member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "DATE", "Archive", "DebRecipe", "DebianWorld", "File", "Folder", "HardLink", "Link", "SigningKey", "device",
    "member",
]  # fmt: skip

DATE = dt.datetime(2025, 11, 1, 12, 0, tzinfo=dt.timezone.utc)  # of every archive, if not told


class SigningKey:
    """An OpenPGP key made for one test run."""

    def __init__(self, name: str = "envbox test archive") -> None:
        import pysequoia

        self._sequoia: Any = pysequoia
        identity = f"{name} <archive@envbox.invalid>"
        self._key = pysequoia.Tsk.generate(user_id=identity, profile=pysequoia.Profile.RFC4880)
        self._certificate = self._key.extract_certificate()
        self.public = str(self._certificate).encode()
        """Armoured."""
        self.fingerprint = self._certificate.fingerprint.upper()

    def clear_sign(self, text: bytes) -> bytes:
        """As InRelease."""
        return self._sign(text, self._sequoia.SignatureMode.CLEAR)

    def detached(self, text: bytes) -> bytes:
        """As Release.gpg."""
        return self._sign(text, self._sequoia.SignatureMode.DETACHED)

    def _sign(self, text: bytes, mode: Any) -> bytes:
        return bytes(self._sequoia.sign(self._key.signer(), text, mode=mode))


@dataclass(frozen=True)
class _Packaged:
    stanza: str
    pool: str


class Archive:
    """A Debian archive in `folder`. Packages are added to suites, `publish` writes and signs the indexes.

    `architectures[0]` gets packages for all; others are published empty but for those.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        suites: Sequence[str] = ("trixie",),
        *,
        key: SigningKey | None = None,
        label: str = "Debian",
        architectures: Sequence[str] = ("amd64",),
    ) -> None:
        self.folder = os.fspath(folder)
        self.suites = tuple(suites)
        self.label = label
        self.architectures = tuple(architectures)
        self.signer = key or SigningKey()
        self._packages: dict[str, dict[tuple[str, str, str], _Packaged]] = defaultdict(dict)

    @property
    def key(self) -> bytes:
        """The armoured public key."""
        return self.signer.public

    def add(self, deb: bytes | DebRecipe, suite: str = "", **overrides: str) -> str:
        """Put a package into a suite (the first, if not told); `overrides` change what the index says of it.

        Returns its path below the archive's folder.
        """
        data = deb.build() if isinstance(deb, DebRecipe) else deb
        control = control_of(data)
        pool = self._pool_path(control)
        os.makedirs(os.path.dirname(os.path.join(self.folder, pool)), exist_ok=True)
        with open(os.path.join(self.folder, pool), "wb") as file:
            file.write(data)
        self._index(control, pool, data, suite, overrides)
        return pool

    def include(self, path: str | os.PathLike[str], suite: str = "") -> str:
        """Serve a real .deb again, under its archive's priority and section if `path`.stanza tells them."""
        with open(path, "rb") as file:
            data = file.read()
        control = control_of(data)
        pool = self._pool_path(control)
        place = os.path.join(self.folder, pool)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if not os.path.exists(place):
            try:
                os.link(path, place)
            except OSError:
                shutil.copy(path, place)
        overrides: dict[str, str] = {}
        if os.path.exists(f"{os.fspath(path)}.stanza"):
            with open(f"{os.fspath(path)}.stanza", encoding="utf-8") as file:
                official = _fields(file.read())
            overrides = {name: official[name] for name in ("Priority", "Section") if name in official}
        self._index(control, pool, data, suite, overrides)
        return pool

    def remove(self, name: str, suite: str = "") -> None:
        """Out of the suite; the file stays in the pool."""
        packages = self._packages[suite or self.suites[0]]
        for key in [key for key in packages if key[0] == name]:
            del packages[key]

    def publish(
        self,
        *,
        date: dt.datetime = DATE,
        valid_until: dt.datetime | None = None,
        fault: str = "",
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """Write dists/. `fault` spoils it:

        "unsigned": InRelease and Release carry no signature; "wrong-key": signed by a stranger; "tampered": the
        signed text was changed afterwards; "prepended", "appended": text stands around the signed part;
        "tampered-index": Packages were changed after Release was signed; "missing": no InRelease or Release.
        """
        for suite in self.suites:
            top = os.path.join(self.folder, "dists", suite)
            shutil.rmtree(top, ignore_errors=True)
            indexes = self._indexes(suite)
            for name, data in indexes.items():
                _write(os.path.join(top, name), data)
                for algorithm, title in (("sha256", "SHA256"), ("md5", "MD5Sum")):
                    digest = hashlib.new(algorithm, data).hexdigest()
                    _write(os.path.join(top, os.path.dirname(name), "by-hash", title, digest), data)
            release = self._release(suite, indexes, date, valid_until, fields or {})
            if fault == "tampered-index":
                _spoil_indexes(top)
            if fault != "missing":
                self._sign(top, release, fault)

    def _pool_path(self, control: str) -> str:
        fields = _fields(control)
        source = fields.get("Source", fields["Package"]).split()[0]
        prefix = source[:4] if source.startswith("lib") else source[0]
        version = fields["Version"].rpartition(":")[2]
        name = f"{fields['Package']}_{version}_{fields['Architecture']}.deb"
        return f"pool/main/{prefix}/{source}/{name}"

    def _index(self, control: str, pool: str, data: bytes, suite: str, overrides: Mapping[str, str]) -> None:
        fields = _fields(control)
        lines = [line for line in control.splitlines() if line.split(":", 1)[0] not in overrides]
        facts = {
            **overrides,
            "Filename": pool,
            "Size": str(len(data)),
            "MD5sum": hashlib.md5(data).hexdigest(),
            "SHA256": hashlib.sha256(data).hexdigest(),
        }
        stanza = "\n".join([*lines, *(f"{name}: {value}" for name, value in facts.items())]) + "\n"
        key = (fields["Package"], fields["Version"], fields["Architecture"])
        self._packages[suite or self.suites[0]][key] = _Packaged(stanza, pool)

    def _indexes(self, suite: str) -> dict[str, bytes]:
        found = {}
        for architecture in self.architectures:
            stanzas = [
                packaged.stanza
                for key, packaged in sorted(self._packages[suite].items())
                if key[2] in {"all", architecture}
            ]
            text = "\n".join(stanzas).encode()
            folder = f"main/binary-{architecture}"
            found[f"{folder}/Packages"] = text
            found[f"{folder}/Packages.xz"] = lzma.compress(text, preset=1)
            found[f"{folder}/Packages.gz"] = gzip.compress(text, 1, mtime=0)
            facts = f"Archive: {suite}\nOrigin: Debian\nLabel: {self.label}\nComponent: main\n"
            found[f"{folder}/Release"] = f"{facts}Architecture: {architecture}\n".encode()
        return found

    def _release(
        self,
        suite: str,
        indexes: Mapping[str, bytes],
        date: dt.datetime,
        valid_until: dt.datetime | None,
        fields: Mapping[str, str],
    ) -> bytes:
        pocket = suite.partition("-")[2]
        facts = {
            "Origin": "Debian",
            "Label": self.label,
            "Suite": f"stable-{pocket}" if pocket else "stable",
            "Codename": suite,
            "Date": _date(date),
            **({"Valid-Until": _date(valid_until)} if valid_until else {}),
            "Acquire-By-Hash": "yes",
            "No-Support-for-Architecture-all": "Packages",
            "Architectures": " ".join(("all", *self.architectures)),
            "Components": "main",
            "Description": "Made for a test",
            **fields,
        }
        lines = [f"{name}: {value}" for name, value in facts.items()]
        for title, algorithm in (("MD5Sum", "md5"), ("SHA256", "sha256")):
            lines.append(f"{title}:")
            lines += [
                f" {hashlib.new(algorithm, data).hexdigest()} {len(data):>8} {name}"
                for name, data in sorted(indexes.items())
            ]
        return ("\n".join(lines) + "\n").encode()

    def _sign(self, top: str, release: bytes, fault: str) -> None:
        signer = SigningKey("a stranger") if fault == "wrong-key" else self.signer
        signed = release if fault == "unsigned" else signer.clear_sign(release)
        if fault == "tampered":
            signed = signed.replace(b"Description: Made for a test", b"Description: Made for a trap")
        if fault == "prepended":
            signed = release.replace(b"Made for a test", b"Put before the signed part") + b"\n" + signed
        if fault == "appended":
            signed += release.replace(b"Made for a test", b"Put after the signed part")
        _write(os.path.join(top, "InRelease"), signed)
        _write(os.path.join(top, "Release"), release)
        if fault != "unsigned":
            _write(os.path.join(top, "Release.gpg"), signer.detached(release))


class DebianWorld:
    """The two archives that a Debian release is made of, in one folder and under one key: serve the folder.

    `main` is at /debian (suites trixie, trixie-updates), `security` at /debian-security (trixie-security).
    """

    def __init__(self, folder: str | os.PathLike[str], codename: str = "trixie") -> None:
        self.folder = os.fspath(folder)
        self.signer = SigningKey()
        self.main = Archive(f"{self.folder}/debian", (codename, f"{codename}-updates"), key=self.signer)
        self.security = Archive(
            f"{self.folder}/debian-security",
            (f"{codename}-security",),
            key=self.signer,
            label="Debian-Security",
        )

    @property
    def key(self) -> bytes:
        """The armoured public key of both."""
        return self.signer.public

    def publish(self, **settings: Any) -> None:
        """Both, as `Archive.publish`."""
        self.main.publish(**settings)
        self.security.publish(**settings)


def _fields(stanza: str) -> dict[str, str]:
    """The one-line fields."""
    return dict(
        line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith((" ", "\t"))
    )


def _spoil_indexes(top: str) -> None:
    for folder, _, names in os.walk(top):
        for name in names:
            if name.startswith("Packages") or "by-hash" in folder:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    data = file.read()
                _write(path, data[:-1] + bytes([data[-1] ^ 1]) if data else b"!")


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def _date(moment: dt.datetime) -> str:
    return moment.astimezone(dt.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S UTC")
