"""The import rules of the house hold, and a breach of any of them is noticed."""

from __future__ import annotations

import ast
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests.guards.support import PACKAGE, ROOT, imports_of, module_name, sources, tool

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

_LINTER = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

_PROCESSES = {"envbox/host/run.py"}
_NETWORK = {"envbox/host/connection.py"}
_DISK_MODULES = {"pathlib", "tempfile", "shutil", "glob", "fileinput", "mmap", "subprocess", "socket"}


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["-c", _LINTER, "--no-cache", "--config", str(folder / "pyproject.toml")]
    return tool(*command, directory=folder, path=[folder])


def test_the_contracts_hold() -> None:
    result = _lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("utils.py", "X = 1", "one way down"),
        ("formats/control.py", "import envbox.api", "one way down"),
        ("formats/tar.py", "import envbox.store.view", "one way down"),
        ("lock/values.py", "from envbox import managers", "one way down"),
        ("rootfs.py", "from envbox import session", "one way down"),
        ("api.py", "from envbox.frontends.cli import app", "one way down"),
        ("host/probe.py", "from envbox.store import view", "one way down"),
        ("sandbox/spec.py", "from envbox.host import run", "one way down"),
        ("sandbox/native.py", "from envbox.errors import EnvboxError", "the sandbox knows nothing"),
        ("spec/rules.py", "import subprocess", "neither network nor processes"),
        ("plan.py", "import urllib3", "neither network nor processes"),
        ("formats/deb.py", "from http import client", "neither network nor processes"),
        ("rootfs.py", "from rich import print", "the terminal belongs to front ends"),
        ("host/probe.py", "import typer", "the terminal belongs to front ends"),
    ],
)
def test_a_planted_breach_is_noticed(tmp_path: Path, file: str, line: str, contract: str) -> None:
    copy = tmp_path / "envbox"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    place = copy / file
    before = place.read_text(encoding="utf-8") if place.exists() else ""
    place.write_text(f"{before}\n{line}\n", encoding="utf-8")
    result = _lint(tmp_path)
    assert result.returncode != 0, result.stdout
    broken = [row for row in result.stdout.splitlines() if row.endswith(" BROKEN")]
    reported = "\n".join(broken) or result.stdout + result.stderr
    assert contract in reported.replace("\n", " "), result.stdout + result.stderr


def _importers(*modules: str) -> set[str]:
    wanted = set(modules)
    return {
        str(path.relative_to(ROOT))
        for path in sources()
        if any(name in wanted or name.split(".")[0] in wanted for name in imports_of(path))
    }


def test_only_host_run_starts_processes() -> None:
    assert _importers("subprocess", "multiprocessing", "pty", "concurrent.futures.ProcessPoolExecutor") == _PROCESSES


def test_only_host_connection_uses_the_network() -> None:
    network = ("urllib3", "socket", "http", "ssl", "urllib.request", "ftplib", "requests", "httpx", "aiohttp")
    assert _importers(*network) == _NETWORK


def test_no_module_calls_the_shell_or_spawns_through_os() -> None:
    forbidden = {"system", "popen", "posix_spawn", "posix_spawnp", "spawnv", "spawnvp", "spawnl"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in forbidden
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert found == []


def test_parsers_values_and_plans_do_not_open_files() -> None:
    places = [*sources(PACKAGE / "formats"), PACKAGE / "values.py", PACKAGE / "errors.py", PACKAGE / "plan.py"]
    found = []
    for path in places:
        found += [f"{path.name} imports {name}" for name in imports_of(path) if name.split(".")[0] in _DISK_MODULES]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id == "open":
                found.append(f"{path.name}:{node.lineno} opens a file")
            if (
                isinstance(called, ast.Attribute)
                and isinstance(called.value, ast.Name)
                and (called.value.id, called.attr)
                in {("os", "open"), ("io", "open"), ("os", "stat"), ("os", "listdir")}
            ):
                found.append(f"{path.name}:{node.lineno} touches the disk")
    assert found == []


def test_the_sandbox_imports_the_standard_library_and_itself() -> None:
    strangers = {
        (path.name, name)
        for path in sources(PACKAGE / "sandbox")
        for name in imports_of(path)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not name.startswith("envbox.sandbox")
        and name != "envbox"
    }
    assert strangers == set()


_EACH_ALONE = """
import importlib, os, sys
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        importlib.import_module(name)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(name)
"""


def test_every_module_can_be_imported_on_its_own() -> None:
    result = tool("-c", _EACH_ALONE, *(module_name(path) for path in sources()), path=[ROOT])
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_no_module_is_named_after_nothing() -> None:
    nameless = {"utils", "util", "helpers", "common", "misc"}
    assert [path for path in sources() if nameless & {path.stem, *path.relative_to(ROOT).parts}] == []
