"""The wheels and the index that tests are made of are real ones, as pip and uv judge."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.server import Server
from tests.support.wheels import SimpleIndex, WheelRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Server]:
    made = SimpleIndex(tmp_path / "index")
    made.add(
        WheelRecipe(
            "Hello.World",
            modules={"hello.py": "from greeting import GREETING\ndef main() -> None:\n    print(GREETING)\n"},
            requires=("greeting>=2",),
            console_scripts={"say-hello": "hello:main"},
            data={"scripts/plain": "#!python\nprint('plain')\n", "data/share/hello/text": "text"},
        )
    )
    for version in ("1.0", "2.0"):
        made.add(WheelRecipe("greeting", version, modules={"greeting.py": f"GREETING = 'hi {version}'\n"}))
    made.add(WheelRecipe("greeting", "3.0", requires_python=">=4"))
    made.publish()
    with Server(made.folder) as server:
        yield server


def commands(url: str, target: Path) -> dict[str, list[str]]:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-cache-dir", "--disable-pip-version-check"]
    uv = ["uv", "pip", "install", "-q", "--no-cache", "--no-config", "--python", sys.executable]
    return {
        "pip": [*pip, "--index-url", f"{url}/simple/", "--target", str(target), "hello-world"],
        "uv": [*uv, "--index-url", f"{url}/simple/", "--target", str(target), "hello-world"],
    }


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_it_installs_from_the_index_and_runs(installer: str, index: Server, tmp_path: Path) -> None:
    target = tmp_path / "target"
    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_EXTRA_INDEX_URL": "", "UV_EXTRA_INDEX_URL": ""}
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        environment.pop(name, None)
    command = commands(index.url, target)[installer]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except FileNotFoundError:
        pytest.skip(f"{installer} is not here")
    if "No module named pip" in done.stderr:
        pytest.skip("pip is not here")
    assert done.returncode == 0, done.stderr
    said = subprocess.run(
        [sys.executable, "-c", "import hello; hello.main()"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(target)},
    )
    assert said.stdout == "hi 2.0\n"
    assert (target / "share/hello/text").read_text() == "text"
    assert (target / "bin/say-hello").exists()


def test_the_index_speaks_json_to_those_who_ask_for_it(index: Server) -> None:
    kind = "application/vnd.pypi.simple.v1+json"
    found = index.body("/simple/greeting/", kind)
    assert found
    assert found[1] == kind
    found = index.body("/simple/greeting/", "*/*")
    assert found
    assert found[0].startswith(b"<!DOCTYPE html>")


def test_the_same_recipe_gives_the_same_bytes() -> None:
    assert WheelRecipe("a", modules={"a.py": ""}).build() == WheelRecipe("a", modules={"a.py": ""}).build()
