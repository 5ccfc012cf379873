"""The benchmark harness measures what it says: in turns, with medians, and with peers that may be missing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.entering import bundle_config
from benchmarks.harness import Case, CommandFailed, Contestant, Result, measure, record, run_once, table
from tests.guards.support import tool

if TYPE_CHECKING:
    from pathlib import Path


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
        "name": "b", "missing": "not installed", "seconds": [], "median": None, "ratio": None,
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
    assert "enter, build, libraries" in result.stdout


def test_an_unknown_case_is_refused_with_those_there_are() -> None:
    result = tool("-m", "benchmarks", "nonsense")
    assert result.returncode == 2
    assert "there are enter, build, libraries" in result.stderr
