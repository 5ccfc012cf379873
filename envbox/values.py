"""Small frozen values shared by every stage. No I/O."""

from __future__ import annotations

import enum
import hashlib
import re
from dataclasses import dataclass

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class Digest:
    """A sha256. `str()` gives the OCI form, `sha256:` and 64 hexadecimal digits."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.fullmatch(self.hex):
            raise ValueError(f"not a sha256: {self.hex!r}")

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of some bytes."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<64 hex>`. Raises ValueError."""
        algorithm, _, rest = text.partition(":")
        if algorithm != "sha256":
            raise ValueError(f"not a sha256 digest: {text!r}")
        return cls(rest)

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    @property
    def short(self) -> str:
        """The first twelve digits, for people."""
        return self.hex[:12]


class Architecture(enum.Enum):
    """A processor architecture, by its Debian name."""

    AMD64 = "amd64"
    ARM64 = "arm64"

    @classmethod
    def of_machine(cls, machine: str) -> Architecture:
        """From `uname -m`. Raises ValueError for a machine that envbox does not support."""
        return (
            {"x86_64": cls.AMD64, "aarch64": cls.ARM64}[machine] if machine in {"x86_64", "aarch64"} else cls(machine)
        )

    @property
    def machine(self) -> str:
        """As `uname -m` and wheel tags spell it."""
        return {"amd64": "x86_64", "arm64": "aarch64"}[self.value]


@dataclass(frozen=True, order=True)
class Artifact:
    """One file to download. `source` is an absolute URL, or a path relative to the mirror of `archive`."""

    name: str
    version: str
    source: str
    size: int
    digest: Digest
    archive: str = ""
    """Name of the archive (`main`, `security`) that `source` is relative to; empty for an absolute URL."""

    @property
    def filename(self) -> str:
        """The last component of its source."""
        return self.source.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file that a person wrote: 1-based `line` (0: unknown), dotted `key`, what is wrong."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


def visible(text: str) -> str:
    """A stranger's text as a terminal may have it: what is no printable character stands there escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
