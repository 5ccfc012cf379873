"""The corpus of identity is what it is said to be, and its report says what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.identity import oracle, report
from benchmarks.identity.by_design import ABSENT, OTHER, PRESENT, Row
from benchmarks.identity.corpus import environments
from benchmarks.identity.oracle import Fact
from envbox.store.manifest import Entry
from tests.guards.support import ROOT, tool

if TYPE_CHECKING:
    from pathlib import Path

FILE = Fact("file", 0o644, ("root", "root"), 1, "x")


def _result(**more: Any) -> dict[str, Any]:
    plain = {
        "packages": 3, "entries": 1000, "bytes": 5, "layers": 4, "identical layers": 4, "different": {}, "began": "2026-01-01",
        "unlike mmdebstrap": {}, "first": {"user": "root"}, "second": {"user": "uid 7", "file system": "xfs"},
        "seconds": {"first": 1, "second": 2, "mmdebstrap": 3}, "commit": "abc", "by design": {},
    }  # fmt: skip
    return {**plain, **more}


def test_the_corpus_names_hundreds_of_packages_in_environments_of_ten_and_more() -> None:
    known = environments()
    assert len({package for environment in known.values() for package in environment.packages}) >= 300
    assert {name for name, environment in known.items() if not 10 <= len(environment.packages) <= 120} == set()
    assert {environment.base for environment in known.values()} == {"debian:11", "debian:12", "debian:13"}


def test_the_command_line_lists_its_environments() -> None:
    result = tool("-m", "benchmarks.identity", "--help")
    assert result.returncode == 0, result.stderr
    for name in environments():
        assert name in result.stdout


def test_an_unknown_environment_is_refused_with_those_there_are() -> None:
    result = tool("-m", "benchmarks.identity", "nonsense")
    assert result.returncode == 2
    assert "there is no environment nonsense; there are " in result.stderr


def test_a_path_that_differs_is_in_the_report_and_in_its_shares(tmp_path: Path) -> None:
    known = environments()
    results = {
        "node": _result(),
        "tex": _result(different={"var/x": "other content"}, **{"unlike mmdebstrap": {"etc/y": ABSENT}}),
        "r": {"failed": "status 1: no space"},
    }
    text = report.markdown(results, known)
    assert "**1 of 2 environments, 99.9500 % of all paths, came out identical**" in text
    assert "- tex: `/var/x`: other content" in text
    assert f"- tex: `/etc/y`: {ABSENT}" in text
    assert "- r: status 1: no space" in text
    assert [report.is_perfect(results[name]) for name in results] == [True, False, False]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.insert(page, "new")
    assert page.read_text(encoding="utf-8") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_the_report_in_the_documentation_is_of_the_corpus_as_it_is() -> None:
    page = (ROOT / "docs/explanation/identity.md").read_text(encoding="utf-8")
    for name, environment in environments().items():
        assert f"| {name} | {environment.base} | {len(environment.packages)} |" in page, (
            f"run the benchmark of {name} again"
        )


def test_owners_are_compared_by_name_and_users_of_packages_in_any_order() -> None:
    entries = [
        Entry("", "directory", 0o755, 0, 0, 0),
        Entry("var", "directory", 0o755, 0, 0, 0),
        Entry("var/spool", "directory", 0o755, 100, 101, 0),
        Entry("etc", "directory", 0o755, 0, 0, 0),
        Entry("etc/passwd", "file", 0o644, 0, 0, 0),
    ]
    first = {"etc/passwd": "root:x:0:0:::\na:x:100:101:::\nb:x:101:102:::\n", "etc/group": "g:x:101:\nh:x:102:\n"}
    second = {"etc/passwd": "root:x:0:0:::\nb:x:100:101:::\na:x:101:102:::\n", "etc/group": "h:x:101:\ng:x:102:\n"}
    ours = oracle.ours(entries, lambda path: first.get(path, "")).facts
    entries[2] = entries[2]._replace(uid=101, gid=102)
    theirs = oracle.ours(entries, lambda path: second.get(path, "")).facts
    assert oracle.differences(ours, theirs) == {}
    entries[2] = entries[2]._replace(uid=100)
    theirs = oracle.ours(entries, lambda path: second.get(path, "")).facts
    assert oracle.differences(ours, theirs) == {"var/spool": "owner: ('a', 'g') != ('b', 'g')"}


def test_only_what_a_row_names_in_the_way_it_names_is_by_design() -> None:
    ours, theirs = {"a": FILE, "b": FILE}, {"b": Fact("file", 0o600, ("root", "root"), 1, "x"), "c": FILE}
    found = oracle.differences(ours, theirs)
    assert found == {"a": PRESENT, "b": "mode: 420 != 384", "c": ABSENT}
    left, used = oracle.judge(found, (Row(PRESENT, "a", "why"), Row(ABSENT, "b", "why"), Row(OTHER, "b", "why")))
    assert left == {"c": ABSENT}
    assert [(row.kind, count) for row, count in used.items()] == [(PRESENT, 1), (OTHER, 1)]
