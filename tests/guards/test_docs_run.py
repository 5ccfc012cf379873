"""The documentation does what it shows, and the README's first command works on a machine with nothing but Python."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.guards.pages import blocks, matches, steps
from tests.guards.support import ROOT
from tests.guards.test_docs_commands import RUN_AS_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real

_NETWORK = ("http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PLAIN = "envbox-plain"


def _passed() -> dict[str, str]:
    return {name: os.environ[name] for name in _NETWORK if name in os.environ}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with this tree's `envbox` and no others."""
    folder = tmp_path_factory.mktemp("programs")
    program = folder / "envbox"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from envbox.__main__ import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    return str(folder)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Downloads that pages share, so that the archive is asked once."""
    folder = tmp_path_factory.mktemp("artifacts")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("page", RUN_AS_SHOWN)
def test_the_page_does_what_it_shows(page: str, tmp_path: Path, programs: str, artifacts: Path) -> None:
    home = tmp_path / "you"
    store = home / ".local/share/envbox"
    store.mkdir(parents=True)
    shutil.copytree(artifacts, store / "blobs", dirs_exist_ok=True)
    variables = {**_passed(), "HOME": str(home), "PATH": f"{programs}:{os.defpath}", "LANG": "C.UTF-8", "TERM": "dumb"}
    place = home
    for block in blocks(ROOT / page):
        if block.name:
            (place / block.name).parent.mkdir(parents=True, exist_ok=True)
            (place / block.name).write_text(block.text, encoding="utf-8")
        for step in steps(block) if block.kind == "console" else ():
            if step.command.startswith("cd "):
                place = (place / step.command[3:].replace("~", str(home))).resolve()
            elif step.command.startswith("export "):
                name, _, value = step.command[7:].partition("=")
                variables[name] = value.replace("$HOME", str(home))
            else:
                output = _shell(step.command, place, variables).replace(str(home), "/home/you")
                assert matches(step.expected, output), f"$ {step.command}\n{output}"
    shutil.copytree(store / "blobs", artifacts, dirs_exist_ok=True)


def _shell(command: str, place: Path, variables: dict[str, str]) -> str:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=place,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=600,
    ).stdout.decode("utf-8", "replace")


@pytest.fixture
def clone() -> Iterator[Path]:
    """A copy of what a fresh clone would have, where everybody can read it: pytest's own folders are private."""
    with tempfile.TemporaryDirectory(prefix="envbox-clone-", dir="/var/tmp") as place:
        os.chmod(place, 0o755)
        yield _copied(Path(place))


def _copied(folder: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def _as_plain_user(folder: Path) -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    try:
        record = pwd.getpwnam(_PLAIN)
    except KeyError:
        subprocess.run(["useradd", "--create-home", _PLAIN], check=True, capture_output=True)
        record = pwd.getpwnam(_PLAIN)
    for place, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(os.path.join(place, name), record.pw_uid, record.pw_gid, follow_symlinks=False)
    return {"user": record.pw_uid, "group": record.pw_gid, "extra_groups": []}


def _python() -> str:
    """A Python that everybody may execute."""
    candidates = (f"/usr/bin/python3.{minor}" for minor in (sys.version_info.minor, 14, 13, 12, 11, 10))
    return next((path for path in candidates if os.path.exists(path)), sys.executable)


def test_the_first_command_works_for_a_plain_user_with_an_empty_home(clone: Path) -> None:
    home = clone / "home"
    home.mkdir()
    variables = {**_passed(), "HOME": str(home), "PATH": os.defpath, "PYTHON": _python()}
    done = subprocess.run(
        ["./try"],
        cwd=clone,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=600,
        **_as_plain_user(clone),  # type: ignore[call-overload]
    )
    output = done.stdout.decode()
    assert done.returncode == 0, output
    assert re.search(
        r"Hello from Debian GNU/Linux 13 \(trixie\), Python 3\.13\.\d+\n"
        r"numpy [\d.]+ solved the equations: \[0\.8 1\.4\]\n"
        r"dot drew a picture of \d+ bytes\n\Z",
        output,
    ), output


def test_a_virtual_environment_can_be_made_without_ensurepip(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "ensurepip.py").write_text("raise SystemExit('Debian has taken this out')\n", encoding="utf-8")
    command = [str(ROOT / "tools/make-venv"), str(tmp_path / "venv"), "packaging"]
    variables = {**os.environ, "PYTHONPATH": str(hidden), "PYTHON": sys.executable}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "venv").glob("pip-*.whl")), "pip had to be fetched"
    subprocess.run([str(tmp_path / "venv/bin/python"), "-c", "import packaging, pip"], check=True)


def test_pip_installs_the_command(clone: Path, tmp_path: Path) -> None:
    subprocess.run([str(clone / "tools/make-venv"), str(tmp_path / "venv"), "pip"], check=True, timeout=300)
    subprocess.run(
        [str(tmp_path / "venv/bin/python3"), "-m", "pip", "install", "--quiet", "."], cwd=clone, check=True, timeout=300
    )
    done = subprocess.run(
        [str(tmp_path / "venv/bin/envbox"), "build", "--nonsense"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 2
    assert "--nonsense" in done.stderr
