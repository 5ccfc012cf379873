"""The command line where people really stand: odd folders, odd arguments, closed files, a first project."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hermetic.kit import told
from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)


@both
def test_init_writes_a_spec_that_locks(case: Case) -> None:
    assert "Wrote" in case.envbox("init", "new-project").output
    written = (case.folder / "new-project/envbox.toml").read_text()
    assert 'name = "new-project"' in written
    assert 'base = "debian:13"' in written
    inside = replace(case, folder=case.folder / "new-project")
    assert "none yet" in inside.envbox("status").output
    inside.fails("init", code="EB-SPEC", status=1, parts=("envbox.toml", "there already", "hint:"))
    assert (case.folder / "new-project/envbox.toml").read_text() == written


@pytest.mark.parametrize("base", ["debian:15", "plan9:4", "", 'debian:13"\nx = "'])
def test_init_with_an_unknown_base_writes_nothing(case: Case, base: str) -> None:
    case.fails("init", "new", "--base", base, code="EB-SPEC", status=1, parts=("base", "hint:"))
    assert not (case.folder / "new").exists()


@pytest.mark.parametrize("command", [("lock",), ("build",), ("run", "--", "true"), ("shell",), ("status",)])
def test_outside_a_project_every_command_says_so(case: Case, command: tuple[str, ...]) -> None:
    case.fails(*command, code="EB-PROJECT", status=1, parts=("no envbox.toml", "hint: run `envbox init`"))


def test_run_without_a_command_is_told(case: Case) -> None:
    case.spec()
    case.fails("run", code="EB-COMMAND", status=1, parts=("no command was given", "hint:"))


@pytest.mark.parametrize("name", ["a b", "ü-日本", "new\nline", "a:b,c=d", "back\\slash", "%s{0}$HOME`'\""])
def test_a_project_may_be_in_a_folder_of_any_name(case: Case, name: str) -> None:
    folder = case.folder / name
    folder.mkdir()
    odd = replace(case, folder=folder)
    odd.spec()
    odd.envbox("lock")
    assert odd.envbox("run", "--", "pwd").output == f"{folder}\n"
    odd.run("sh", "-c", "echo x >made-inside")
    assert (folder / "made-inside").read_text() == "x\n"


def test_a_store_may_be_in_a_folder_of_any_name(case: Case) -> None:
    odd = case.folder.parent / "st:ore, \\x ü"
    case.store.rename(odd)
    case.store = odd
    case.install(DebRecipe("hello"))
    assert case.run("dpkg-query", "-W", "-f", "${Package}", "hello") == "hello"


@pytest.mark.parametrize("place", ["/tmp", "/usr/src", "/opt", "/root" if os.geteuid() == 0 else "/tmp"])
def test_a_project_below_a_folder_of_the_root_file_system_is_there(case: Case, place: str) -> None:
    if not os.access(place, os.W_OK):
        pytest.skip("root may read everything")
    folder = Path(place, f"envbox-project-{os.getpid()}")
    folder.mkdir()
    try:
        here = replace(case, folder=folder)
        here.spec()
        here.envbox("lock")
        assert here.run("sh", "-c", "pwd; ls envbox.toml") == f"{folder}\nenvbox.toml\n"
    finally:
        subprocess.run(["rm", "-r", folder], check=True)


def test_a_command_has_its_exit_status_and_its_arguments_as_they_are(case: Case) -> None:
    case.install(DebRecipe("hello"))
    assert case.envbox("run", "--", "sh", "-c", "exit 42", status=None).status == 42
    done = subprocess.run(
        [os.fsencode(word) for word in case.command("run", "--", "printf", "%s|")] + [b"\xff\xfe", b"a b", b"", b"--help"],
        capture_output=True, stdin=subprocess.DEVNULL, check=True, **case.options(),
    )  # fmt: skip
    assert done.stdout == b"\xff\xfe|a b||--help|"


def test_a_command_that_is_not_there_is_told(case: Case) -> None:
    case.install(DebRecipe("hello"))
    result = case.envbox("run", "--", "no-such-command", status=None)
    assert result.status == 127, str(result)
    assert "no-such-command" in result.errors
    assert "Traceback" not in result.errors


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_files_do_no_harm(case: Case, closed: tuple[int, ...]) -> None:
    case.add(DebRecipe("hello", scripts={"postinst": "#!/bin/sh\necho hello\n"}))
    case.spec("hello")
    shut = " ".join(f"{number}>&-" if number else "0<&-" for number in closed)
    for arguments in (["lock"], ["run", "--", "sh", "-c", "echo x >ran"]):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {shut}', "sh", *case.command(*arguments)],
            capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60, **case.options(),
        )  # fmt: skip
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert done.returncode == 0, done
    assert (case.folder / "ran").read_text() == "x\n"
    case.verify()


def test_output_to_a_full_device_is_told_without_a_traceback(case: Case) -> None:
    case.spec()
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            case.command("status"),
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            check=False,
            **case.options(),
        )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert done.returncode != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="root may read everything")
@pytest.mark.parametrize("person", ["runner", "plain"])
def test_a_host_without_user_namespaces_is_told_with_the_setting(case: Case, person: str, new_case: object) -> None:
    if person == "plain":
        case = new_case("plain")  # type: ignore[operator]
    case.install(DebRecipe("hello"))
    script = 'echo 0 >/proc/sys/user/max_user_namespaces\nexec "$@"\n'
    # The limit counts for the namespace it is set in and those below.
    case.wrapper = ("unshare", "--user", "--map-root-user", "sh", "-ec", script, "sh")
    for arguments in (["run", "--", "true"], ["update"]):
        result = case.envbox(*arguments, status=None)
        if arguments == ["update"]:
            case.forget_layers()
        told(result, "EB-USERNS", 2, "user.max_user_namespaces is 0", "hint: sudo sysctl -w user.max_user_namespaces=")


@pytest.mark.skipif(os.geteuid() != 0, reason="root may read everything")
@pytest.mark.parametrize("place", ["/", "/etc"])
def test_a_project_that_would_hide_the_root_is_refused(case: Case, place: str) -> None:
    spec = Path(place, "envbox.toml")
    assert not spec.exists()
    case.spec()
    spec.write_text((case.folder / "envbox.toml").read_text())
    key = Path(place, "team.asc")
    key.write_bytes(case.debian.key)
    try:
        here = replace(case, folder=Path(place))
        result = here.envbox("lock", status=None)
        assert result.status in {1, 2}, str(result)
        assert "Traceback" not in result.errors
        assert place in result.errors
        assert "hint:" in result.errors
    finally:
        for path in (spec, key, Path(place, "envbox.lock")):
            path.unlink(missing_ok=True)
