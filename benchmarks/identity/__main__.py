"""`python -m benchmarks.identity [ENV...]`: builds real environments twice; tells what is not identical."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.identity import report
from benchmarks.identity.building import Artifacts
from benchmarks.identity.conditions import two_people
from benchmarks.identity.corpus import environments
from benchmarks.identity.trial import Bench, trial
from envbox.store.removal import remove_tree

_LAST = Path(__file__).parent / "last.json"


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 if anything was not identical, or not as mmdebstrap has it."""
    options = _options(arguments)
    known = environments()
    wanted = options.environments or list(known)
    unknown = set(wanted) - set(known)
    if unknown:
        print(f"there is no environment {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    results = report.load(options.json)
    if not options.only_report:
        work = Path(tempfile.mkdtemp(prefix="envbox-identity-", dir=options.work))
        work.chmod(0o755)
        try:
            bench = Bench(
                work, Artifacts(options.artifacts or work / "artifacts"), two_people(work), _tell,
                oracle=_has_oracle(options), file_system=options.file_system, keep=options.keep,
            )  # fmt: skip
            for name in wanted:
                results[name] = trial(known[name], bench)
                report.save(options.json, results)
        finally:
            if not options.keep:
                remove_tree(str(work))
    text = report.markdown({name: results[name] for name in known if name in results}, known)
    if options.report:
        report.insert(options.report, text)
    print(text)
    return 0 if all(report.is_perfect(results[name]) for name in wanted if name in results) else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity", description=__doc__)
    parser.add_argument("environments", nargs="*", metavar="ENV", help=f"{', '.join(environments())} (default: all)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="put the tables between the markers of this page")
    parser.add_argument(
        "--json", type=Path, default=_LAST, metavar="FILE", help="keep results here beside earlier ones"
    )
    parser.add_argument("--only-report", action="store_true", help="build nothing: write the report of what --json has")
    parser.add_argument("--no-oracle", action="store_true", help="do not compare with mmdebstrap")
    parser.add_argument("--file-system", choices=["xfs", "tmpfs", "btrfs"], help="of second builds (default: in turns)")
    parser.add_argument("--work", default="/var/tmp", metavar="FOLDER", help="where to build (default: /var/tmp)")
    parser.add_argument("--artifacts", type=Path, metavar="FOLDER", help="keep downloads here for the next time")
    parser.add_argument("--keep", action="store_true", help="keep the files that differ, in a folder of --work")
    return parser.parse_args(arguments)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _has_oracle(options: argparse.Namespace) -> bool:
    return not options.no_oracle and os.geteuid() == 0 and shutil.which("mmdebstrap") is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
