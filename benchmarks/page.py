"""`python -m benchmarks.page RESULTS.json...`: puts the tables of results into docs/explanation/performance.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import growth
from benchmarks.harness import shown, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PAGE = Path(__file__).resolve().parents[1] / "docs/explanation/performance.md"
BEGIN = "<!-- Results: written by `python -m benchmarks.page`. -->"
END = "<!-- End of results. -->"

Document = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status. Of cases that stand in several files, those of the last count."""
    if not arguments:
        print("usage: python -m benchmarks.page RESULTS.json...", file=sys.stderr)
        return 2
    documents = [json.loads(Path(name).read_text(encoding="utf-8")) for name in arguments]
    PAGE.write_text(with_results(PAGE.read_text(encoding="utf-8"), merged(documents)), encoding="utf-8")
    return 0


def merged(documents: Iterable[Document]) -> Document:
    """One document with the cases of all."""
    whole: Document = {}
    cases: dict[str, Any] = {}
    for document in documents:
        whole.update(document)
        cases.update({case["case"]: case for case in document["cases"]})
    return {**whole, "cases": list(cases.values())}


def with_results(page: str, document: Document) -> str:
    """`page` with the tables between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, f"the page has the lines {BEGIN} and {END}"
    return f"{before}{BEGIN}\n\n{tables(document)}\n{END}{after}"


def tables(document: Document) -> str:
    """Markdown."""
    machine = document["machine"]
    head = (
        f"Measured {document['began'][:10]}, {document['rounds']} rounds, medians: {machine['processor']}, "
        f"{machine['processors']} processors, {machine['memory']}, Linux {machine['kernel']}, "
        f"Python {machine['python']}, {machine['file system']}, as {machine['user']}."
    )
    lines = [head, ""]
    for case in document["cases"]:
        lines += _case(case)
    for name, rows in document.get("growth", {}).items():
        lines += _growth(name, rows)
    lines += ["Versions: " + ", ".join(_versions(machine["peers"])) + ".", ""]
    return "\n".join(lines)


def _case(case: Mapping[str, Any]) -> list[str]:
    title = case["case"][0].upper() + case["case"][1:]
    lines = [f"### {title}", "", f"{case['note'][0].upper()}{case['note'][1:]}.", ""]
    lines += ["| | median | to the first |", "|---|---|---|"]
    notes = []
    for result in case["results"]:
        if result["missing"]:
            lines.append(f"| {result['name']} | | {_escaped(result['missing'])} |")
            continue
        lines.append(f"| {result['name']} | {shown(result['median']).strip()} | {_ratio(result['ratio'])} |")
        if result.get("note"):
            notes.append(f"`{result['name']}` ran with `{result['note']}`.")
    lines += ["", *notes, ""] if notes else [""]
    if case["budgets"]:
        lines += ["| budget | |", "|---|---|"]
        lines += [f"| {judged['budget']} | {verdict(judged)} |" for judged in case["budgets"]]
        lines.append("")
    return lines


def _growth(name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    titles = list(rows[0])
    lines = [f"### Growth: {name}", "", f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    lines += [f"| {' | '.join(growth.cells(dict(row)).values())} |" for row in rows]
    return [*lines, ""]


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def _versions(peers: Mapping[str, str]) -> list[str]:
    return [f"{name} {version}" if name not in version else version for name, version in sorted(peers.items())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
