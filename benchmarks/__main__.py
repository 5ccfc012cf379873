"""`python -m benchmarks [CASE...]`: measures envbox and its peers side by side, and prints ratios."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import building, entering, libraries
from benchmarks.harness import measure, record, table
from benchmarks.machine import facts
from benchmarks.workbench import remove

CASES = {"enter": entering.cases, "build": building.cases, "libraries": libraries.cases}
_RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 if envbox itself could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument("--work", type=Path, help="a folder to work in, kept afterwards (default: a temporary one)")
    options = parser.parse_args(arguments)
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    work = options.work or Path(tempfile.mkdtemp(prefix="envbox-bench-", dir="/var/tmp"))
    try:
        work.mkdir(parents=True, exist_ok=True)
        return _measure(options.cases or list(CASES), options.rounds, work.resolve())
    finally:
        if not options.work:
            remove(work)


def _measure(names: list[str], rounds: int, work: Path) -> int:
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    machine, records, tables, complete = facts(str(work)), [], [], True
    for name in names:
        for case in CASES[name](work):
            results = measure(case, rounds, tell=lambda text: print(text, file=sys.stderr))
            complete = complete and bool(results[0].seconds)
            records.append(record(case, results))
            tables.append(table(case, results))
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{began.replace(':', '')}.json"
    document = {"began": began, "rounds": rounds, "machine": machine, "cases": records}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    processors = f"{machine['processor']}, {machine['processors']} processors"
    print(f"{processors}, Linux {machine['kernel']}, Python {machine['python']}, {machine['file system']}\n")
    print("\n\n".join(tables))
    print(f"\nwritten to {path}")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
