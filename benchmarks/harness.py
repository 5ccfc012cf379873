"""Measures commands side by side: interleaved, median of several rounds, ratios to the first, budgets."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LAST_LINES = 5


class CommandFailed(Exception):
    """A measured command did not end with status 0; what it said is the message."""


@dataclass(frozen=True)
class Contestant:
    """A command to measure. `missing` says why it cannot be; `prepare` runs, untimed, before each time.

    `note` is what a reader must know of how it is run here.
    """

    name: str
    command: Sequence[str] = ()
    missing: str = ""
    prepare: Callable[[], object] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Budget:
    """An aim: `ours` takes no longer than the `factor`-th part of what `peer` takes, and `plus` seconds."""

    ours: str
    peer: str
    factor: float = 1.0
    plus: float = 0.0

    def __str__(self) -> str:
        if self.plus:
            return f"{self.ours}: {self.peer} + {self.plus * 1000:.0f} ms"
        if self.factor == 1.0:
            return f"{self.ours}: no slower than {self.peer}"
        if self.factor < 1.0:
            return f"{self.ours}: {1 / self.factor:.1f} times the time of {self.peer}"
        return f"{self.ours}: {self.factor:g} times faster than {self.peer}"


@dataclass(frozen=True)
class Case:
    """Contestants for one job; the first is what the others are compared with. `batch`: times in each round."""

    name: str
    note: str
    contestants: Sequence[Contestant]
    batch: int = 1
    budgets: Sequence[Budget] = ()


@dataclass
class Result:
    """Seconds of one contestant, in the order measured, or why there are none."""

    name: str
    seconds: list[float] = field(default_factory=list)
    missing: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        """The middle one. Only for those that were measured."""
        return statistics.median(self.seconds)


def run_once(contestant: Contestant) -> float:
    """Seconds that the command takes. Raises CommandFailed."""
    if contestant.prepare:
        contestant.prepare()
    environment = {**os.environ, **contestant.environment}
    began = time.perf_counter()
    done = subprocess.run(
        contestant.command,
        cwd=contestant.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()[-_LAST_LINES:]
        raise CommandFailed(f"status {done.returncode}: {' / '.join(lines)}")
    return seconds


def measure(
    case: Case, rounds: int, *, once: Callable[[Contestant], float] = run_once, tell: Callable[[str], None] = print
) -> list[Result]:
    """One untimed round, then `rounds` of them, each beginning with another contestant.

    One that fails is told as missing and not run again: the others are still worth knowing.
    """
    results = [Result(each.name, missing=each.missing, note=each.note) for each in case.contestants]
    for number in range(rounds + 1):
        for position in range(len(results)):
            index = (position + number) % len(results)
            if results[index].missing:
                continue
            try:
                seconds = [once(case.contestants[index]) for _ in range(case.batch if number else 1)]
            except (CommandFailed, OSError) as error:
                results[index] = Result(results[index].name, missing=f"failed: {error}")
                continue
            if number:
                results[index].seconds += seconds
        tell(f"{case.name}: {'warmed up' if number == 0 else f'round {number} of {rounds}'}")
    return results


def table(case: Case, results: Sequence[Result]) -> str:
    """The results as text; the ratio is a contestant's median to the first one's."""
    width = max(len(result.name) for result in results)
    first = results[0]
    lines = [case.name, f"  {case.note}", f"  {'':{width}}  {'median':>10}  {'fastest':>10}  {'ratio':>7}"]
    for result in results:
        if result.missing:
            lines.append(f"  {result.name:{width}}  {result.missing}")
            continue
        ratio = f"{result.median / first.median:7.2f}" if first.seconds else f"{'-':>7}"
        lines.append(f"  {result.name:{width}}  {shown(result.median)}  {shown(min(result.seconds))}  {ratio}")
    return "\n".join(lines)


def shown(seconds: float) -> str:
    """For people."""
    return f"{seconds * 1000:7.1f} ms" if seconds < 1 else f"{seconds:8.2f} s"


def record(case: Case, results: Sequence[Result]) -> dict[str, Any]:
    """The results for a JSON file."""
    first = results[0]
    return {
        "case": case.name,
        "note": case.note,
        "results": [
            {
                "name": result.name,
                "note": result.note,
                "missing": result.missing,
                "seconds": result.seconds,
                "median": result.median if result.seconds else None,
                "ratio": result.median / first.median if result.seconds and first.seconds else None,
            }
            for result in results
        ],
        "budgets": [_judged(budget, {result.name: result for result in results}) for budget in case.budgets],
    }


def _judged(budget: Budget, results: Mapping[str, Result]) -> dict[str, Any]:
    """Whether a budget was met, and how many times faster than the peer, or how much slower, ours was."""
    ours, peer = results[budget.ours], results[budget.peer]
    if not (ours.seconds and peer.seconds):
        return {"budget": str(budget), "met": None, "allowed": None, "taken": None, "faster": None}
    allowed = peer.median / budget.factor + budget.plus
    return {
        "budget": str(budget),
        "met": ours.median <= allowed,
        "allowed": allowed,
        "taken": ours.median,
        "faster": peer.median / ours.median,
    }


def verdicts(recorded: Mapping[str, Any]) -> list[str]:
    """The budgets of a recorded case, one line each."""
    return [f"{judged['budget']}: {verdict(judged)}" for judged in recorded["budgets"]]


def verdict(judged: Mapping[str, Any]) -> str:
    """`met`, or by how much not, in words."""
    if judged["met"] is None:
        return "not measured"
    digits = 1 if judged["faster"] < 10 else 0
    reached = f"{judged['faster']:.{digits}f} times as fast"
    if judged["met"]:
        return f"met ({reached})"
    return f"not met: {reached}, {(judged['taken'] / judged['allowed'] - 1) * 100:.0f} % more time than allowed"
