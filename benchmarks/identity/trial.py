"""One environment: built twice, compared with itself and with mmdebstrap's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.identity import oracle
from benchmarks.identity.building import Artifacts, Build, NotBuilt, build, differences
from benchmarks.identity.conditions import FILE_SYSTEMS, odd, place, usual
from envbox.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from benchmarks.identity.corpus import Environment
    from tests.support.plain import Person

_SECOND, _THEIRS, _FIRST = "second", "mmdebstrap", "first"


@dataclass
class Bench:
    """What trials share. `keep`: files that differ are kept in `work`."""

    work: Path
    artifacts: Artifacts
    people: tuple[Person, Person]
    tell: Callable[[str], None]
    oracle: bool = True
    file_system: str | None = None
    keep: bool = False
    _turn: list[int] = field(default_factory=lambda: [0])

    def next_file_system(self) -> str:
        """For the next second build."""
        self._turn[0] += 1
        return self.file_system or FILE_SYSTEMS[(self._turn[0] - 1) % len(FILE_SYSTEMS)]


def trial(environment: Environment, bench: Bench) -> dict[str, Any]:
    """The result, of plain values."""
    folder = bench.work / environment.name
    folder.mkdir()
    result: dict[str, Any] = {"began": time.strftime("%Y-%m-%d", time.gmtime()), "commit": _commit()}
    bench.tell(f"{environment.name}: {len(environment.packages)} packages named")
    try:
        _try(environment, bench, folder, result)
    except (NotBuilt, oracle.NotInstalled) as error:
        result["failed"] = str(error)
        bench.tell(f"{environment.name}: {error}")
    remove_tree(str(folder))
    return result


def _try(environment: Environment, bench: Bench, folder: Path, result: dict[str, Any]) -> None:
    first_folder = folder / "first"
    first_folder.mkdir()
    conditions = usual(bench.people[0], first_folder)
    first = build(conditions, environment.text, bench.artifacts)
    view = list(first.view().entries())
    result |= {
        "packages": sum(len(group.artifacts) for group in first.lock.groups),
        "entries": len(view),
        "bytes": sum(entry.size for entry in view if entry.kind == "file"),
        "layers": len(first.digests),
        "first": conditions.told,
        "seconds": {"first": round(first.seconds)},
    }
    bench.tell(f"  first: {result['packages']} packages, {len(view)} paths, {first.seconds:.0f} s")
    _build_again(environment, bench, folder, first, result)
    if bench.oracle:
        _ask_oracle(environment, bench, first, folder, result)


def _build_again(
    environment: Environment,
    bench: Bench,
    folder: Path,
    first: Build,
    result: dict[str, Any],
) -> None:
    with contextlib.ExitStack() as stack:
        parent = stack.enter_context(place(folder, bench.next_file_system()))
        conditions = odd(bench.people[1], parent, environment.base)
        second = build(conditions, environment.text, bench.artifacts, first.lock_text)
        found = differences(first, second)
        result["second"] = conditions.told
        result["identical layers"] = sum(map(str.__eq__, map(str, first.digests), map(str, second.digests)))
        result["different"] = found
        result["seconds"]["second"] = round(second.seconds)
        if bench.keep:
            _keep_files(bench.work / "kept" / environment.name, first, second, found)
        told = conditions.told["file system"]
    bench.tell(f"  second, {told}: {len(found)} paths differ, {second.seconds:.0f} s")
    _tell_paths(found, bench.tell)


def _keep_files(folder: Path, first: Build, second: Build, paths: Iterable[str]) -> None:
    for name, build_ in (("first", first), ("second", second)):
        for path in paths:
            source = build_.file(path)
            if source.is_file() and not source.is_symlink():
                _keep(folder / name / path, source.read_bytes())


def _keep(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _ask_oracle(environment: Environment, bench: Bench, first: Build, folder: Path, result: dict[str, Any]) -> None:
    began = time.monotonic()
    ours = oracle.ours(first.view().entries(), first.text)
    kept = bench.work / "kept" / environment.name

    def see(path: str, fact: oracle.Fact, content: bytes) -> None:
        if bench.keep and fact.kind == "file" and _differs(ours.facts.get(path), fact):
            _keep(kept / "mmdebstrap" / path, content)
            if first.file(path).is_file():
                _keep(kept / "first" / path, first.file(path).read_bytes())

    with place(folder, "tmpfs", "tmp"):
        theirs = oracle.installed(first.lock, first.store / "blobs/sha256", folder, see)
    left, used = oracle.judge(oracle.differences(ours.facts, theirs.facts))
    result["unlike mmdebstrap"] = left
    result["by design"] = {f"{row.kind}: {row.pattern}": count for row, count in used.items()}
    result["seconds"]["mmdebstrap"] = round(time.monotonic() - began)
    bench.tell(f"  mmdebstrap: {len(left)} paths differ, {sum(used.values())} more by design")
    _tell_paths(left, bench.tell)


def _differs(ours: oracle.Fact | None, theirs: oracle.Fact) -> bool:
    return ours is None or ours.content != theirs.content


def _tell_paths(found: dict[str, str], tell: Callable[[str], None]) -> None:
    for path, what in list(found.items())[:60]:
        tell(f"    /{path}: {what}")


def _commit() -> str:
    command = ["git", "-C", os.path.dirname(__file__), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
