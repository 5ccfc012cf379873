"""How long it takes to add one small package to an environment of 160, and to find that nothing has to be done."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from benchmarks.archives import SUITE, local_archive
from benchmarks.harness import Budget, Case, Contestant
from benchmarks.workbench import MINIMAL, Project, discard, envbox, flattened, project

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.engines import Builder, Engines
    from envbox.values import Artifact

_PACKAGES = ("curl", "git", "gnupg", "htop", "less", "openssh-client", "python3-venv", "rsync", "tmux", "tree", "vim")
_NEW = "jq"
_SPEC = f'name = "packages"\nbase = "debian:13"\npackages = {list(_PACKAGES)}\n'.replace("'", '"')
_BASE, _HERE = "envbox-bench:local", "envbox-bench:160"
_INSTALL = "apt-get install -y --no-install-recommends"
_ADD, _BUILD = "envbox add", "envbox build"


def cases(work: Path, engines: Engines) -> list[Case]:
    """`envbox add` against a RUN line that changed, and two builds with nothing to do."""
    made = project(work, "packages", _SPEC)
    adder = _Adder(made)
    adding, idle = [adder.contestant()], [_idle(made)]
    builders = engines.builders()
    if builders:
        bases = _images(work, made, engines, adder.artifacts)
        adding += [c for builder in builders for c in _docker_adds(builder, work, bases)]
        idle += [_docker_idles(builder, work) for builder in builders]
    else:
        missing = engines.docker.missing or "neither of its builders works"
        adding.append(Contestant(_changed("classic"), missing=missing))
        idle.append(Contestant(_cached("classic"), missing=missing))
    names = [contestant.name for contestant in (*adding, *idle)]
    budgets = [Budget(_ADD, name, 15) for name in names if name.endswith(_changed(""))]
    count = sum(len(group.artifacts) for group in made.lock.groups)
    return [
        Case(
            f"add one small package to an environment of {count}",
            f"{_NEW}, all .debs here; docker: one RUN line with all packages, to which it is added, or a RUN line more",
            adding,
            budgets=budgets,
        ),
        Case(
            "nothing to do",
            "build when everything is there; docker: all steps cached",
            idle,
            batch=5,
            budgets=[Budget(_BUILD, contestant.name) for contestant in idle[1:]],
        ),
    ]


def _changed(builder: str) -> str:
    return f"docker build ({builder}), changed RUN line" if builder else ", changed RUN line"


def _cached(builder: str) -> str:
    return f"docker build ({builder})"


class _Adder:
    """Adds, and takes back, so that it can be added again."""

    def __init__(self, made: Project) -> None:
        self._made = made
        self._files = {name: (made.folder / name).read_bytes() for name in ("envbox.toml", "envbox.lock")}
        before = self._present()
        self._run()
        self._new = [path for path in self._present() if path not in before]
        groups = made.lock.groups
        self.artifacts: Sequence[Artifact] = groups[-1].artifacts
        self.prepare()

    def contestant(self) -> Contestant:
        made = self._made
        command = [*envbox(), "add", _NEW]
        return Contestant(_ADD, command, "", self.prepare, made.environment, str(made.folder))

    def prepare(self) -> None:
        """As before it was added, but for what was downloaded."""
        for path in self._new:
            discard(path, self._made.folder.parent)
        for name, data in self._files.items():
            (self._made.folder / name).write_bytes(data)
        os.sync()

    def _run(self) -> None:
        subprocess.run(
            [*envbox(), "add", _NEW],
            cwd=self._made.folder,
            env={**os.environ, **self._made.environment},
            check=True,
            capture_output=True,
        )

    def _present(self) -> list[Path]:
        folders = ("packages-v1", "layers-v1", "keys-v1", "environments-v1")
        return [path for folder in folders for path in (self._made.store / folder).iterdir()]


def _idle(made: Project) -> Contestant:
    return Contestant(_BUILD, [*envbox(), "build"], environment=made.environment, directory=str(made.folder))


def _images(work: Path, made: Project, engines: Engines, more: Sequence[Artifact]) -> dict[str, str]:
    """A minimal image and one with all packages, both with the archive inside.

    Its index is the distribution's own, as long as what apt and envbox have to read outside a benchmark.
    """
    minimal = project(work, "local", MINIMAL)
    problems = {}
    for image, of in ((_BASE, minimal), (_HERE, made)):
        root = flattened(of, work / f"flat-{of.folder.name}")
        archive = root / "archive"
        if not archive.exists():
            local_archive(made, archive, more, whole=True)
            shutil.rmtree(root / "etc/apt/sources.list.d", ignore_errors=True)
            (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/archive {SUITE} main\n")
        problems[image] = engines.docker.import_root(root, image)
    return problems


_numbers = itertools.count()


def _dockerfile(folder: Path, lines: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")


def _docker_adds(builder: Builder, work: Path, problems: dict[str, str]) -> Iterator[Contestant]:
    every = " ".join([*_PACKAGES, _NEW])
    for name, image, packages in (
        (_changed(builder.name), _BASE, every),
        (f"docker build ({builder.name}), a RUN line more", _HERE, _NEW),
    ):
        if problems[image]:
            yield Contestant(name, missing=problems[image])
            continue
        folder = work / f"docker-{builder.name}-{'more' if image == _HERE else 'changed'}"

        def prepare(folder: Path = folder, image: str = image, packages: str = packages) -> None:
            run = f"apt-get update && {_INSTALL} {packages} && : {next(_numbers)}"  # a line that was never built
            _dockerfile(folder, [f"FROM {image}", f"RUN {run}"])
            os.sync()

        prepare()
        command = [*builder.command, "--network=none", str(folder)]
        yield Contestant(name, command, "", prepare, builder.environment)


def _docker_idles(builder: Builder, work: Path) -> Contestant:
    folder = work / f"docker-{builder.name}-idle"
    _dockerfile(folder, [f"FROM {_BASE}", "RUN echo one >/one", "RUN echo two >/two"])
    command = [*builder.command, "--network=none", str(folder)]
    return Contestant(_cached(builder.name), command, environment=builder.environment)
