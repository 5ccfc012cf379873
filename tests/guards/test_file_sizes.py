"""Files stay small enough to be read in one go."""

from __future__ import annotations

from tests.guards.support import ROOT, sources

LIMITS = {"envbox": 400, "docs": 400, "benchmarks": 400, "examples": 200, "tests": 700}
REASONS: dict[str, str] = {}
"""Longer files, each with the reason why it is one."""


def test_no_file_is_long_without_a_reason() -> None:
    long = {}
    for folder, limit in LIMITS.items():
        for path in sources(ROOT / folder):
            lines = path.read_text(encoding="utf-8", errors="replace").count("\n")
            if lines > limit:
                long[str(path.relative_to(ROOT))] = lines
    unexplained = {name: lines for name, lines in long.items() if name not in REASONS}
    assert unexplained == {}
    assert set(REASONS) <= set(long), "a reason whose file is short now can go"


def test_a_distribution_is_facts_in_at_most_eighty_lines() -> None:
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(ROOT / "envbox/distros")
    }
    assert {name: length for name, length in lengths.items() if length > 80} == {}
