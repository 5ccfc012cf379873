"""The results as a page for people, and as JSON between runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.identity import oracle
from benchmarks.identity.by_design import ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.identity.corpus import Environment

BEGIN, END = "<!-- report: begin -->", "<!-- report: end -->"


def load(path: Path | None) -> dict[str, Any]:
    """Earlier results, by environment, judged by the rows that there are now."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    for result in results.values():
        left, used = oracle.judge(result.get("unlike mmdebstrap", {}))
        if used:
            result["unlike mmdebstrap"] = left
            for row, count in used.items():
                result["by design"][f"{row.kind}: {row.pattern}"] = count
    return results


def save(path: Path | None, results: Mapping[str, Any]) -> None:
    """Keep results for `load`."""
    if path:
        path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def insert(page: Path, text: str) -> None:
    """Replace what is between the markers of a page."""
    whole = page.read_text(encoding="utf-8")
    before, _, rest = whole.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def is_perfect(result: Mapping[str, Any]) -> bool:
    """Built, identical, and as mmdebstrap has it, if that was asked."""
    return not (result.get("failed") or result.get("different") or result.get("unlike mmdebstrap"))


def markdown(results: Mapping[str, Any], known: Mapping[str, Environment]) -> str:
    """Tables, and lists of what differs."""
    return "\n\n".join(
        [_summary(results, known), _environments(results, known), *_lists(results), _conditions(results)]
    )


def _summary(results: Mapping[str, Any], known: Mapping[str, Environment]) -> str:
    built = {name: result for name, result in results.items() if "different" in result}
    named = {package for name in built for package in known[name].packages}
    entries = sum(result["entries"] for result in built.values())
    different = sum(len(result["different"]) for result in built.values())
    same = sum(1 for result in built.values() if not result["different"])
    asked = [result for result in built.values() if "unlike mmdebstrap" in result]
    unlike = sum(len(result["unlike mmdebstrap"]) for result in asked)
    packages = sum(result["packages"] for result in built.values())
    return (
        f"{len(built)} environments of {len(named)} named packages ({packages} installed in all, {entries:,} paths):"
        f" **{same} of {len(built)} environments, {_share(entries - different, entries)} of all paths, came out"
        f" identical**; {unlike} paths of the {len(asked)} compared with mmdebstrap's are otherwise there."
    )


def _share(part: int, whole: int) -> str:
    if part == whole:
        return "100 %"
    return f"{min(part / max(whole, 1) * 100, 99.9999):.4f} %"


def _environments(results: Mapping[str, Any], known: Mapping[str, Environment]) -> str:
    lines = [
        (
            "| environment | base | named | installed | paths | GB | second build on | layers identical | paths differ"
            " | unlike mmdebstrap | seconds: first, second, mmdebstrap | commit |"
        ),
        "|---|---|--:|--:|--:|--:|---|--:|--:|--:|---|---|",
    ]
    for name, environment in known.items():
        result = results.get(name, {})
        head = f"| {name} | {environment.base} | {len(environment.packages)} |"
        if "different" not in result:
            lines.append(f"{head} {'failed: see below' if result else 'not measured'}" + " |" * 9)
            continue
        unlike = len(result["unlike mmdebstrap"]) if "unlike mmdebstrap" in result else "not asked"
        seconds = ", ".join(str(result["seconds"].get(build, "-")) for build in ("first", "second", "mmdebstrap"))
        lines.append(
            f"{head} {result['packages']} | {result['entries']:,} | {result['bytes'] / 1e9:.1f} |"
            f" {result['second']['file system']} | {result['identical layers']}/{result['layers']} |"
            f" {len(result['different'])} | {unlike} | {seconds} | {result['commit']} |"
        )
    return "\n".join(lines)


def _lists(results: Mapping[str, Any]) -> list[str]:
    parts = []
    for title, key in (("Not identical", "different"), ("Unlike mmdebstrap", "unlike mmdebstrap")):
        lines = [
            f"- {name}: `/{path}`: {what}"
            for name, result in results.items()
            for path, what in result.get(key, {}).items()
        ]
        if lines:
            parts.append("\n".join([f"**{title}**", "", *lines]))
    failed = [f"- {name}: {result['failed']}" for name, result in results.items() if result.get("failed")]
    if failed:
        parts.append("\n".join(["**Failed**", "", *failed]))
    used = {key for result in results.values() for key in result.get("by design", {})}
    rows = [f"| `/{row.pattern}` | {row.kind} | {row.reason} |" for row in ROWS if f"{row.kind}: {row.pattern}" in used]
    if rows:
        title = "**Unlike mmdebstrap by design**, and so not counted"
        parts.append("\n".join([title, "", "| path | how | why |", "|---|---|---|", *rows]))
    return parts


def _conditions(results: Mapping[str, Any]) -> str:
    lines = ["| | first build | second build |", "|---|---|---|"]
    built = [result for result in results.values() if "second" in result]
    for key in built[-1]["first"] if built else ():
        first = sorted({result["first"][key] for result in built if key in result["first"]})
        second = sorted({result["second"][key] for result in built if key in result["second"]})
        lines.append(f"| {key} | {_one(first)} | {_one(second)} |")
    return "\n".join(lines)


def _one(values: list[str]) -> str:
    return ", ".join(values) if len(values) < 5 else f"{values[0]} and {len(values) - 1} others like it"
