"""The code passes the linters as pyproject.toml sets them."""

from __future__ import annotations

import pytest

from tests.guards.support import ROOT, tool


@pytest.mark.parametrize(
    "arguments",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--check", "--no-cache", "."),
        ("mypy",),
    ],
    ids=" ".join,
)
def test_linter(arguments: tuple[str, ...]) -> None:
    result = tool("-m", *arguments, directory=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_suppressed_rule_says_which_one() -> None:
    bare = []
    for folder in ("envbox", "tests", "benchmarks", "docs", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if line.rstrip().endswith(("# noq" + "a", "# type: ignor" + "e")):
                    bare.append(f"{path.relative_to(ROOT)}:{number}")
    assert bare == []
