"""Entering what is built imports nothing slow: `envbox run` must cost hardly more than Python's own start."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests.guards.support import PACKAGE, ROOT, tool

if TYPE_CHECKING:
    from pathlib import Path

_HEAVY = {
    "annotationlib", "argparse", "ast", "asyncio", "click", "collections", "concurrent", "contextlib", "copy",
    "ctypes", "dataclasses", "dis", "email", "enum", "functools", "hashlib", "http", "importlib.metadata",
    "importlib.resources", "inspect", "io.open_code", "json", "logging", "packaging", "pathlib", "platform",
    "pydantic", "pysequoia", "random", "re", "rich", "select", "shlex", "shutil", "signal", "socket", "ssl",
    "string", "struct", "subprocess", "tempfile", "textwrap", "threading", "tomllib", "traceback", "typer",
    "types", "typing", "urllib", "urllib3", "uuid", "zipfile",
}  # fmt: skip
_WARM = (
    "envbox", "envbox.__main__", "envbox.errors", "envbox.sandbox", "envbox.session", "envbox.store",
)  # fmt: skip

_PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
before = set(sys.modules)
import envbox.__main__, envbox.session, envbox.sandbox.native, envbox.store.location
envbox.session.parse_json('{{"version": 1, "layers": ["a"], "name": "b"}}')
envbox.session.sha256_of(b"")
print(repr(sorted(set(sys.modules) - before)))
"""


def _loaded(folder: Path) -> set[str]:
    result = tool("-I", "-S", "-c", _PROGRAM.format(folder=str(folder)))
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.replace("'", '"')))


def test_the_warm_path_loads_nothing_slow() -> None:
    loaded = _loaded(ROOT)
    assert loaded & _HEAVY == set()
    ours = {name for name in loaded if name.split(".")[0] == "envbox"}
    assert {name for name in ours if not name.startswith(_WARM)} == set()


@pytest.mark.parametrize("module", ["re", "typing", "json", "dataclasses", "subprocess"])
def test_a_slow_import_planted_on_the_warm_path_is_noticed(tmp_path: Path, module: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "envbox", ignore=shutil.ignore_patterns("__pycache__"))
    session = tmp_path / "envbox" / "session.py"
    session.write_text(session.read_text(encoding="utf-8") + f"\nimport {module}\n", encoding="utf-8")
    assert module in _loaded(tmp_path) & _HEAVY


def test_importing_envbox_is_cheap() -> None:
    result = tool(
        "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import envbox; print(*sys.modules)"
    )
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.split()) & _HEAVY & set(sys.stdlib_module_names) <= {"collections", "functools"}
    assert "envbox.api" not in result.stdout.split()
