"""`python -m benchmarks [CASE...]`: measures envbox and its peers side by side, and prints ratios and budgets."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import adding, building, entering, growth, libraries
from benchmarks.engines import Engines
from benchmarks.harness import measure, record, table, verdicts
from benchmarks.machine import facts
from benchmarks.workbench import remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness import Case

CASES: dict[str, Callable[[Path, Engines], list[Case]]] = {
    "enter": entering.cases,
    "build": building.cases,
    "add": adding.cases,
    "libraries": libraries.cases,
}
GROWTH = "growth"
_RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 if envbox itself could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)} (default: all of these), or {GROWTH}"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument("--work", type=Path, help="a folder to work in, kept afterwards (default: a temporary one)")
    options = parser.parse_args(arguments)
    unknown = set(options.cases) - set(CASES) - {GROWTH}
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)} and {GROWTH}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    work = options.work or Path(tempfile.mkdtemp(prefix="envbox-bench-", dir="/var/tmp"))
    try:
        work.mkdir(parents=True, exist_ok=True)
        work.chmod(0o755)  # apt of the peers reads its archive as a user of its own
        return _measure(options.cases or list(CASES), options.rounds, work.resolve())
    finally:
        if not options.work:
            remove(work)


def _measure(names: list[str], rounds: int, work: Path) -> int:
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document: dict[str, Any] = {"began": began, "rounds": rounds, "machine": facts(str(work)), "cases": []}
    complete, engines = True, Engines(work)
    print(_head(document["machine"]))
    try:
        for name in names:
            if name == GROWTH:
                document[GROWTH] = growth.measure(work, tell=_tell)
                print(growth.text(document[GROWTH]))
                continue
            for case in CASES[name](work, engines):
                results = measure(case, rounds, tell=_tell)
                complete = complete and bool(results[0].seconds)
                recorded = record(case, results)
                document["cases"].append(recorded)
                print("\n".join([table(case, results), *(f"  {line}" for line in verdicts(recorded))]), end="\n\n")
    finally:
        engines.close()
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{began.replace(':', '')}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path}")
    return 0 if complete else 1


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _head(machine: dict[str, Any]) -> str:
    processors = f"{machine['processor']}, {machine['processors']} processors"
    return f"{processors}, Linux {machine['kernel']}, Python {machine['python']}, {machine['file system']}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
