"""How time and disk grow: with packages, with layers, with environments that share a base, with many at once."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.synthetic import PACKAGES, archive, package_name
from benchmarks.workbench import Project, discard, envbox, project

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.synthetic import Served

COUNTS_OF_PACKAGES = (1, 10, 100, 1000)
COUNTS_OF_LAYERS = (1, 8, 64, 256)
COUNTS_OF_ENVIRONMENTS = (1, 10, 100)
COUNTS_AT_ONCE = (1, 10, 50)
_ROUNDS, _ENTERING_ROUNDS = 3, 11
_BUILT = ("packages-v1", "layers-v1", "keys-v1", "environments-v1")

Row = dict[str, Any]


@dataclass(frozen=True)
class _Bench:
    work: Path
    served: Served
    tell: Callable[[str], None]

    @property
    def store(self) -> Path:
        return self.work / "growth-store"

    def project(self, name: str, packages: Sequence[str]) -> Project:
        """A locked and built one, in the common store."""
        folder = self.work / name
        folder.mkdir(exist_ok=True)
        (folder / "archive.asc").write_bytes(self.served.key.read_bytes())
        return project(self.work, name, self.served.spec(name, packages), self.store)

    def built(self) -> set[Path]:
        """All trees, layers and records that the store has."""
        return {path for folder in _BUILT for path in (self.store / folder).iterdir()}

    def discard(self, paths: Sequence[Path]) -> None:
        for path in paths:
            discard(path, self.work)
        os.sync()


def measure(work: Path, tell: Callable[[str], None]) -> dict[str, list[Row]]:
    """All rows, by what grows."""
    with archive(work) as served:
        bench = _Bench(work, served, tell)
        base = bench.project("growth-base", [])
        return {
            "packages": _packages(bench),
            "layers": _layers(bench, base),
            "sessions at once": _sessions(bench, base),
            "environments": _environments(bench),
            "builds at once": _builds(bench),
        }


def _packages(bench: _Bench) -> list[Row]:
    rows = []
    for count in COUNTS_OF_PACKAGES:
        before = bench.built()
        made = bench.project(f"growth-{count}", [package_name(number) for number in range(count)])
        own = sorted(bench.built() - before)
        build = [_again(bench, made, own, ["build"]) for _ in range(_ROUNDS)]
        files = {name: (made.folder / name).read_bytes() for name in ("envbox.toml", "envbox.lock")}
        add = []
        for number in range(PACKAGES - _ROUNDS, PACKAGES):
            add.append(_seconds(made, ["add", package_name(number)]))
            for name, data in files.items():
                (made.folder / name).write_bytes(data)
        rows.append({"count": count, "build": statistics.median(build), "add one more": statistics.median(add)})
        bench.discard(sorted(bench.built() - before))
        bench.tell(f"growth: {count} packages")
    return rows


def _again(bench: _Bench, made: Project, own: Sequence[Path], arguments: Sequence[str]) -> float:
    bench.discard(own)
    return _seconds(made, arguments)


def _layers(bench: _Bench, base: Project) -> list[Row]:
    (path,) = (base.store / "environments-v1").glob("*/record.json")
    text = path.read_text()
    record = json.loads(text)
    *own, top = record["layers"]
    rows = []
    for count in COUNTS_OF_LAYERS:
        more = [str(_layer(bench, number)) for number in range(count - len(own) - 1)]
        # A single layer is the base's first, without the one that belongs to sessions.
        layers = [*own, *more, top] if count > len(own) else own[:count]
        path.write_text(json.dumps({**record, "layers": layers}))
        seconds = [_seconds(base, ["run", "--root", "--", "true"]) for _ in range(_ENTERING_ROUNDS)]
        rows.append({"count": count, "enter": statistics.median(seconds)})
        bench.tell(f"growth: {count} layers")
    path.write_text(text)
    return rows


def _layer(bench: _Bench, number: int) -> Path:
    tree = bench.work / "growth-layers" / str(number)
    (tree / "usr/share/growth").mkdir(parents=True, exist_ok=True)
    (tree / f"usr/share/growth/{number}").write_text("x\n")
    return tree


def _sessions(bench: _Bench, base: Project) -> list[Row]:
    rows = []
    for count in COUNTS_AT_ONCE:
        rows.append(_at_once(bench, count, [base] * count, ["run", "--", "true"]))
        bench.tell(f"growth: {count} sessions at once")
    return rows


def _environments(bench: _Bench) -> list[Row]:
    before, alone, rows = bench.built(), 0, []
    for number in range(max(COUNTS_OF_ENVIRONMENTS)):
        bench.project(f"sharing-{number}", [package_name(number)])
        if number + 1 in COUNTS_OF_ENVIRONMENTS:
            used = _disk(bench.store)
            alone = alone or used
            rows.append({"count": number + 1, "MB used": used / 1e6, "MB, each by itself": (number + 1) * alone / 1e6})
            bench.tell(f"growth: {number + 1} environments")
    bench.discard(sorted(bench.built() - before))
    return rows


def _disk(folder: Path) -> int:
    """Bytes taken, hard links counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in (".", *names):
            status = os.lstat(os.path.join(place, name))
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def _builds(bench: _Bench) -> list[Row]:
    """Of environments whose locks and packages are here, and whose layers are not, but for the base."""
    rows = []
    for count in COUNTS_AT_ONCE:
        before = bench.built()
        made = [Project(bench.work / f"sharing-{number}", bench.store) for number in range(count)]
        rows.append(_at_once(bench, count, made, ["build"]))
        bench.discard(sorted(bench.built() - before))
        bench.tell(f"growth: {count} builds at once")
    return rows


def _seconds(made: Project, arguments: Sequence[str]) -> float:
    began = time.perf_counter()
    process = _start(made, arguments)
    _, errors = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise SystemExit(f"benchmarks: envbox {' '.join(arguments)} failed:\n{errors.decode(errors='replace')}")
    return seconds


def _at_once(bench: _Bench, count: int, projects: Sequence[Project], arguments: Sequence[str]) -> Row:
    began = time.perf_counter()
    processes = [_start(made, arguments) for made in projects]
    errors = [process.communicate()[1] for process in processes]
    seconds = time.perf_counter() - began
    failed = [error for process, error in zip(processes, errors, strict=True) if process.returncode != 0]
    for error in failed:
        bench.tell(f"growth: one of {count} failed:\n{error.decode(errors='replace')}")
    return {"count": count, "all": seconds, "a second": count / seconds, "failed": len(failed)}


def _start(made: Project, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*envbox(), *arguments],
        cwd=made.folder,
        env={**os.environ, **made.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


_IN_SECONDS = frozenset({"build", "add one more", "enter", "all"})


def cells(row: Row) -> dict[str, str]:
    """A row as words, by column."""
    return {name: _cell(name, value) for name, value in row.items()}


def _cell(name: str, value: float) -> str:
    if name in _IN_SECONDS:
        return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def text(grown: dict[str, list[Row]]) -> str:
    """All rows, for a terminal."""
    lines = []
    for name, rows in grown.items():
        titles = list(rows[0])
        lines.append(f"{name}\n  " + "  ".join(f"{title:>18}" for title in titles))
        lines += ["  " + "  ".join(f"{cells(row)[title]:>18}" for title in titles) for row in rows]
        lines.append("")
    return "\n".join(lines)
