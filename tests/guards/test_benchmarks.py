"""The benchmark harness measures what it says: in turns, with medians, and with peers that may be missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page
from benchmarks.engines import Engine, mounted_below
from benchmarks.entering import bundle_config
from benchmarks.growth import cells
from benchmarks.harness import (
    Budget,
    Case,
    CommandFailed,
    Contestant,
    Result,
    measure,
    record,
    run_once,
    table,
    verdicts,
)
from benchmarks.page import BEGIN, END, PAGE, merged, tables, with_results
from benchmarks.workbench import Project
from tests.guards.support import tool


def _silent(_text: str) -> None: ...


def _case(*names: str, batch: int = 1, **missing: str) -> Case:
    return Case("case", "note", [Contestant(name, missing=missing.get(name, "")) for name in names], batch=batch)


def test_contestants_take_turns_and_each_round_begins_with_another() -> None:
    order: list[str] = []

    def once(contestant: Contestant) -> float:
        order.append(contestant.name)
        return 1.0

    measure(_case("a", "b", "c"), 3, once=once, tell=_silent)
    assert "".join(order) == "abcbcacababc"


def test_the_first_round_warms_up_and_is_not_counted() -> None:
    seconds = iter([100.0, 1.0, 2.0, 3.0])
    (result,) = measure(_case("a"), 3, once=lambda _: next(seconds), tell=_silent)
    assert result.seconds == [1.0, 2.0, 3.0]
    assert result.median == 2.0


def test_a_batch_is_measured_several_times_in_each_round() -> None:
    (result,) = measure(_case("a", batch=4), 2, once=lambda _: 1.0, tell=_silent)
    assert len(result.seconds) == 8


def test_one_slow_outlier_does_not_move_the_median() -> None:
    assert Result("a", [1.0, 1.1, 0.9, 50.0, 1.0]).median == 1.0


def test_a_missing_peer_is_told_and_not_run() -> None:
    ran: list[str] = []

    def once(contestant: Contestant) -> float:
        ran.append(contestant.name)
        return 0.5

    case = _case("a", "b", b="not installed")
    results = measure(case, 2, once=once, tell=_silent)
    assert set(ran) == {"a"}
    assert "b  not installed" in table(case, results)
    assert record(case, results)["results"][1] == {
        "name": "b", "note": "", "missing": "not installed", "seconds": [], "median": None, "ratio": None,
    }  # fmt: skip


def test_a_peer_that_fails_is_told_with_its_words_and_the_others_go_on() -> None:
    def once(contestant: Contestant) -> float:
        if contestant.name == "b":
            raise CommandFailed("status 3: no such thing")
        return 2.0

    case = _case("a", "b")
    results = measure(case, 2, once=once, tell=_silent)
    assert results[0].seconds == [2.0, 2.0]
    assert "failed: status 3: no such thing" in table(case, results)


def test_ratios_are_to_the_first() -> None:
    case = _case("ours", "theirs")
    results = [Result("ours", [0.02, 0.02]), Result("theirs", [0.05, 0.05])]
    text = table(case, results)
    assert "20.0 ms" in text
    assert text.splitlines()[-1].split()[-1] == "2.50"
    assert record(case, results)["results"][1]["ratio"] == pytest.approx(2.5)


def test_without_the_first_there_are_no_ratios() -> None:
    case = _case("ours", "theirs")
    text = table(case, [Result("ours", missing="failed"), Result("theirs", [2.0])])
    assert text.splitlines()[-1].split()[-1] == "-"


def test_a_real_command_is_prepared_before_and_timed_without_that(tmp_path: Path) -> None:
    marker = tmp_path / "prepared"
    code = "import os, sys, time; time.sleep(0.2); sys.exit(0 if os.path.exists('prepared') and os.environ['A'] == 'b' else 1)"

    def prepare() -> None:
        marker.touch()

    contestant = Contestant("x", [sys.executable, "-c", code], "", prepare, {"A": "b"}, str(tmp_path))
    assert 0.2 <= run_once(contestant) < 5


def test_a_failing_command_is_an_error_with_its_last_lines() -> None:
    code = "import sys; print('one'); print('why', file=sys.stderr); sys.exit(7)"
    with pytest.raises(CommandFailed, match=r"status 7: .*why"):
        run_once(Contestant("x", [sys.executable, "-c", code]))


def test_a_bundle_keeps_the_runtimes_own_namespaces_and_has_limits_that_are_allowed() -> None:
    example: dict[str, Any] = {
        "process": {"terminal": True, "args": ["sh"], "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 10**9, "soft": 1}]},
        "root": {"path": "rootfs"},
        "mounts": [{"type": "proc"}, {"type": "cgroup"}],
        "linux": {"namespaces": [{"type": "pid"}], "resources": {"devices": []}},
    }
    config = bundle_config(example, "/flat")
    assert config["process"]["args"] == ["/usr/bin/true"]
    assert config["process"]["rlimits"][0]["hard"] == 1024
    assert config["mounts"] == [{"type": "proc"}]
    assert config["root"] == {"path": "/flat", "readonly": True}
    assert config["linux"] == {"namespaces": [{"type": "pid"}]}


def test_the_command_line_lists_its_cases() -> None:
    result = tool("-m", "benchmarks", "--help")
    assert result.returncode == 0, result.stderr
    assert "enter, build, add, libraries (default: all of these), or growth" in " ".join(result.stdout.split())


def test_an_unknown_case_is_refused_with_those_there_are() -> None:
    result = tool("-m", "benchmarks", "nonsense")
    assert result.returncode == 2
    assert "there are enter, build, add, libraries and growth" in " ".join(result.stderr.split())


def _judged(budget: Budget, ours: list[float], theirs: list[float]) -> tuple[dict[str, Any], str]:
    case = Case("case", "note", [Contestant("ours"), Contestant("theirs")], budgets=[budget])
    recorded = record(case, [Result("ours", ours), Result("theirs", theirs)])
    return recorded["budgets"][0], verdicts(recorded)[0]


@pytest.mark.parametrize(
    ("budget", "theirs", "met", "words"),
    [
        (Budget("ours", "theirs", 8), 8.0, True, "ours: 8 times faster than theirs: met (8.0 times as fast)"),
        (
            Budget("ours", "theirs", 8),
            4.0,
            False,
            "ours: 8 times faster than theirs: not met: 4.0 times as fast, 100 % more time than allowed",
        ),
        (Budget("ours", "theirs"), 1.0, True, "ours: no slower than theirs: met (1.0 times as fast)"),
        (Budget("ours", "theirs", 1 / 1.3), 0.8, True, "ours: 1.3 times the time of theirs: met (0.8 times as fast)"),
        (
            Budget("ours", "theirs", plus=0.5),
            0.4,
            False,
            "ours: theirs + 500 ms: not met: 0.4 times as fast, 11 % more",
        ),
    ],
)
def test_a_budget_is_met_or_told_by_how_much_not(budget: Budget, theirs: float, met: bool, words: str) -> None:
    judged, told = _judged(budget, [1.0, 1.0], [theirs])
    assert judged["met"] is met
    assert told.startswith(words)


def test_a_budget_against_a_missing_peer_is_not_measured() -> None:
    judged, told = _judged(Budget("ours", "theirs", 2), [1.0], [])
    assert judged["met"] is None
    assert told == "ours: 2 times faster than theirs: not measured"


def test_every_budget_is_about_contestants_of_its_case() -> None:
    with pytest.raises(KeyError):
        record(Case("case", "note", [Contestant("a")], budgets=[Budget("a", "b")]), [Result("a", [1.0])])


def test_what_is_forgotten_leaves_the_store_at_once_and_is_removed_later(tmp_path: Path) -> None:
    made = Project(tmp_path / "project", tmp_path / "project-store")
    (made.store / "layers-v1/one").mkdir(parents=True)
    made.forget("layers-v1", "keys-v1")
    assert list(made.store.iterdir()) == []
    (discarded,) = tmp_path.glob(".discarded-*")
    assert (discarded / "one").is_dir()


def test_an_engine_runs_in_the_first_way_that_works_here(tmp_path: Path) -> None:
    program = tmp_path / "engine"
    program.write_text(
        "#!/bin/sh\ncase \"$*\" in *network=none*) exit 0 ;; *) echo 'no such limit' >&2; exit 1 ;; esac\n"
    )
    program.chmod(0o755)
    contestant = Engine("engine", [str(program)]).runs("image", ["true"])
    assert contestant.missing == ""
    assert contestant.note.startswith("--network=none --ulimit=nofile")
    assert contestant.command[-2:] == ["image", "true"]
    assert 0 < run_once(contestant) < 5


def test_an_engine_that_works_in_no_way_is_told_with_its_words(tmp_path: Path) -> None:
    program = tmp_path / "engine"
    program.write_text("#!/bin/sh\necho 'no such limit' >&2\nexit 1\n")
    program.chmod(0o755)
    assert Engine("engine", [str(program)]).runs("image", ["true"]).missing.endswith("no such limit")
    assert Engine("engine", [], "not installed").runs("image", ["true"]).missing == "not installed"


def test_what_an_engine_leaves_mounted_is_found_below_the_work_folder_alone() -> None:
    mounts = "overlay /work/docker/a\\040b overlay rw 0 0\nnsfs /work/docker/c nsfs rw 0 0\nx /workshop x rw 0 0\n"
    assert mounted_below(Path("/work"), mounts) == ["/work/docker/a b", "/work/docker/c"]


DOCUMENT: dict[str, Any] = {
    "began": "2026-01-02T03:04:05Z",
    "rounds": 5,
    "machine": {
        "processor": "P", "processors": 2, "memory": "1 kB", "kernel": "6", "python": "3", "user": "root",
        "file system": "ext4", "peers": {"runc": "runc version 1"},
    },
    "cases": [record(Case("enter", "note", [Contestant("a"), Contestant("b")], budgets=[Budget("a", "b", 2)]),
                     [Result("a", [0.5], note="--so"), Result("b", missing="failed: a | b")])],
}  # fmt: skip


def test_the_page_gets_the_tables_between_its_marks_and_keeps_the_rest() -> None:
    text = f"# Title\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n"
    new = with_results(text, {**DOCUMENT, "growth": {"layers": [{"count": 1, "enter": 0.02}]}})
    assert new.startswith("# Title\n\nbefore\n")
    assert new.endswith("\nafter\n")
    assert "old" not in new
    assert "| a | 500.0 ms | 1.00 |" in new
    assert "| b | | failed: a \\| b |" in new
    assert "| a: 2 times faster than b | not measured |" in new
    assert "| 1 | 20.0 ms |" in new
    assert with_results(new, DOCUMENT).count(BEGIN) == 1


def test_results_of_several_runs_are_one_page_in_which_the_last_count() -> None:
    again = {**DOCUMENT, "cases": [{**DOCUMENT["cases"][0], "note": "again"}]}
    whole = merged([{**DOCUMENT, "growth": {}}, again])
    assert [case["note"] for case in whole["cases"]] == ["again"]
    assert "growth" in whole


def test_results_are_put_into_the_page_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, written = tmp_path / "results.json", tmp_path / "page.md"
    results.write_text(json.dumps(DOCUMENT))
    written.write_text(PAGE.read_text(encoding="utf-8"))
    monkeypatch.setattr(page, "PAGE", written)
    assert page.main([str(results)]) == 0
    assert "| a | 500.0 ms | 1.00 |" in written.read_text(encoding="utf-8")
    assert page.main([]) == 2


def test_the_page_of_the_docs_has_the_marks() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert tables(DOCUMENT)


def test_growth_is_told_in_units() -> None:
    assert cells({"count": 10, "build": 0.25, "all": 2.0, "a second": 5.0, "failed": 0}) == {
        "count": "10", "build": "250.0 ms", "all": "2.00 s", "a second": "5.0", "failed": "0",
    }  # fmt: skip
