"""The environments that identity is measured on: ordinary specs, one file each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envbox.spec import load

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Environment:
    """One of them. `text` is its envbox.toml, `packages` are those that it names."""

    name: str
    base: str
    packages: tuple[str, ...]
    text: str


def environments(folder: Path = FOLDER) -> dict[str, Environment]:
    """All, by name."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.toml"))}


def _read(path: Path) -> Environment:
    spec = load(str(path))
    names = tuple(package.name for package in spec.packages)
    return Environment(path.stem, str(spec.base), names, path.read_text(encoding="utf-8"))
