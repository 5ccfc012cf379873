"""Sessions in a real environment, of the user who runs the tests and of a plain one."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.terminal import terminal
from tests.support.plain import REPOSITORY

pytestmark = pytest.mark.real


@pytest.fixture(params=["minimal", "minimal_plain"])
def world(request):
    return request.getfixturevalue(request.param)


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 70, 125, 255])
def test_the_exit_status_is_the_commands(world, status):
    world.run("sh", "-c", f"exit {status}", status=status)


def test_a_command_that_dies_of_a_signal_gives_128_and_its_number(world):
    world.run("sh", "-c", "kill -SEGV $$", status=128 + signal.SIGSEGV)
    world.run("sh", "-c", "kill -KILL $$", status=128 + signal.SIGKILL)


def test_a_command_that_is_not_there_gives_127_and_says_so(world):
    result = world.envbox("run", "--", "no-such-command", status=127)
    assert "no-such-command: command not found" in result.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_envbox_reaches_the_command(world, number):
    script = f"trap 'echo caught; exit 7' {number.name[3:]}; echo ready; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        world.command("run", "--", "sh", "-c", script), stdout=subprocess.PIPE, **world.options()
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.stdout.read() == b"caught\n"
        assert process.wait(20) == 7
    finally:
        process.kill()
        process.wait()


def test_killing_envbox_ends_everything_inside(world):
    marker = f"sleep 86{os.getpid()}"
    process = subprocess.Popen(
        world.command("run", "--", "sh", "-c", f"echo ready; {marker} & wait"),
        stdout=subprocess.PIPE,
        **world.options(),
    )
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while _running(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _running(marker)
    left = os.listdir(world.store / "tmp")
    assert [name.partition("-")[0] for name in left] == ["session"]
    # Work folders are given a minute to be locked by those who made them.
    world.execute([world.person.python, "-c", SWEEP])
    assert os.listdir(world.store / "tmp") == []


SWEEP = """
from envbox.store import work
from envbox.store.store import Store
work._SETTLING = 0.0
assert work.sweep(Store()) == 1
"""


def _running(command: str) -> bool:
    wanted = command.replace(" ", "\0").encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found.append(Path("/proc", entry, "cmdline").read_bytes())
            except OSError:
                continue
    return any(wanted in line for line in found)


def test_standard_input_reaches_the_command(world):
    done = subprocess.run(
        world.command("run", "--", "wc", "-c"),
        input=bytes(300_000),
        stdout=subprocess.PIPE,
        check=True,
        **world.options(),
    )
    assert done.stdout == b"300000\n"


# --- what is seen inside --------------------------------------------------------------------------------------------


def test_the_person_inside_is_dev_and_root_is_root(world):
    assert world.run("sh", "-c", "id -un; id -u; id -g; echo $HOME $USER") == "dev\n1000\n1000\n/home/dev dev\n"
    assert world.run_as_root("sh", "-c", "id -u; echo $HOME $USER") == "0\n/root root\n"


def test_nothing_of_the_hosts_environment_enters(world):
    world.environment["ENVBOX_TEST_SECRET"] = "secret"
    try:
        names = {line.partition("=")[0] for line in world.run("env").splitlines()}
    finally:
        del world.environment["ENVBOX_TEST_SECRET"]
    known = {"PATH", "LANG", "HOME", "USER", "LOGNAME", "SHELL", "ENVBOX", "PWD"}
    proxies = {name for name in world.variables() if name.lower().endswith("_proxy")}
    assert names - known <= proxies
    assert "ENVBOX" in names


def test_no_descriptor_of_the_host_enters(world):
    with open("/etc/passwd", "rb") as file:
        listing = world.run("ls", "/proc/self/fd", pass_fds=(file.fileno(),))
    # The one more is that of the listed folder.
    assert listing.split() == ["0", "1", "2", "3"]


def test_no_path_of_the_host_but_the_projects_is_there(world):
    top = set(world.run("ls", "-A", "/").split())
    usual = {"bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run"}
    usual |= {"sbin", "srv", "sys", "tmp", "usr", "var"}
    assert top - usual == {world.folder.parts[1]} - usual
    beside = world.folder.parent / "secret"
    beside.touch()
    inside = world.run("ls", str(world.folder.parent)).splitlines()
    assert inside == [world.folder.name]
    world.run("test", "-e", world.person.home, status=1)
    world.run("test", "-e", str(REPOSITORY / "pyproject.toml"), status=1)
    mounts = world.run("cat", "/proc/self/mountinfo")
    assert " /oldroot" not in mounts


def test_no_process_of_the_host_is_there(world):
    assert world.run("sh", "-c", "ls -d /proc/[0-9]* | wc -l").strip() in {"2", "3", "4"}
    assert world.run("sh", "-c", f"kill -0 {os.getpid()} || echo none") == "none\n"


def test_the_host_is_named_after_the_environment(world):
    assert world.run("uname", "-n") == "bare\n"


# --- what stays and what goes ---------------------------------------------------------------------------------------


def test_what_is_written_to_the_project_is_the_persons_on_the_host(world):
    world.run("sh", "-c", "mkdir made && echo text >made/file && chmod 600 made/file")
    written = world.folder / "made" / "file"
    assert written.read_text() == "text\n"
    assert {written.stat().st_uid, written.parent.stat().st_uid} == {world.person.uid}
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    world.run_as_root("sh", "-c", "echo more >>made/file")
    assert written.stat().st_uid == world.person.uid
    world.run("rm", "-r", "made")
    assert not written.exists()


def test_what_is_written_elsewhere_is_gone_afterwards(world):
    world.run_as_root("sh", "-c", "echo x >/etc/made-in-session; rm /etc/debian_version; test -e /etc/made-in-session")
    world.run("test", "-e", "/etc/made-in-session", status=1)
    assert world.run("cat", "/etc/debian_version").startswith("13")
    assert os.listdir(world.store / "tmp") == []


def test_home_is_kept_and_each_project_has_its_own(world):
    other = world.sibling("other")
    other.envbox("build")
    try:
        world.run("sh", "-c", "echo mine >~/note")
        other.run("sh", "-c", "test ! -e ~/note; echo other >~/note")
        assert (world.run("sh", "-c", "cat ~/note"), other.run("sh", "-c", "cat ~/note")) == ("mine\n", "other\n")
        assert world.run("sh", "-c", "test -e ~/.bashrc && pwd -P ~ >/dev/null; ls -ld ~").split()[2] == "dev"
    finally:
        world.run("rm", "/home/dev/note")


def test_the_working_folder_is_kept_below_the_project(world):
    below = world.folder / "deep" / "er"
    below.mkdir(parents=True, exist_ok=True)
    world.person.own(world.folder)
    assert world.run("pwd", cwd=below) == f"{below}\n"
    assert world.run("sh", "-c", "echo $PWD", cwd=below) == f"{below}\n"


def test_apt_can_install_nothing_that_lasts_but_works(world):
    assert "0 upgraded" in world.run_as_root("apt-get", "install", "--simulate", "bash")


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [("run", "--", "true"), ("shell",), ("build",), ("lock",), ("status",)])
def test_outside_of_a_project_every_verb_says_so(world, verb):
    result = world.envbox(*verb, status=1, cwd="/")
    assert "there is no envbox.toml in / or any folder above it" in result.errors
    assert "[EB-PROJECT]" in result.errors
    assert "Traceback" not in result.errors


def test_a_stale_lock_is_refused_and_what_changed_is_named(world):
    spec = (world.folder / "envbox.toml").read_text()
    lock = world.lock.read_bytes()
    world.write("envbox.toml", spec + 'packages = ["jq"]\n')
    try:
        for verb in (("run", "--", "true"), ("build",)):
            result = world.envbox(*verb, status=1)
            assert "[EB-STALE]" in result.errors
            assert "jq" in result.errors
            assert "envbox lock" in result.errors
    finally:
        world.write("envbox.toml", spec)
    assert world.lock.read_bytes() == lock
    world.run("true")


# --- no network -----------------------------------------------------------------------------------------------------


def test_a_warm_run_works_where_there_is_no_network(world):
    own = ("unshare", "--net") if world.person.account is None and os.geteuid() == 0 else None
    wrapper = own or ("unshare", "--user", "--map-current-user", "--net")
    argv = [*wrapper, *world.command("run", "--", "cat", "/proc/net/dev")]
    interfaces = [line.split(":")[0].strip() for line in world.execute(argv).output.splitlines()[2:]]
    assert interfaces == ["lo"]
    world.execute([*wrapper, *world.command("build")])


WATCHED = """
import sys
seen = []
def watch(event, arguments):
    if event.startswith("socket.") or event == "import" and arguments[0] in HEAVY:
        seen.append((event, arguments[0]))
        print("unwanted:", event, arguments[0], file=sys.stderr, flush=True)
HEAVY = {"socket", "_socket", "ssl", "asyncio", "typer", "rich", "pydantic", "urllib3", "subprocess"}
sys.addaudithook(watch)
sys.argv = ["envbox", "run", "--", "true"]
from envbox.__main__ import main
status = main()
sys.exit(status or bool(seen))
"""


def test_a_warm_run_opens_no_socket_and_imports_nothing_slow(world):
    result = world.execute([world.person.python, "-c", WATCHED])
    assert result.errors == ""


# --- terminals ------------------------------------------------------------------------------------------------------


def test_a_shell_has_a_prompt_job_control_and_the_windows_size(world):
    with terminal(world.command("shell"), **world.options()) as screen:
        screen.expect(r"\(bare\)dev@bare:.*a project\$ ")
        screen.line("test -t 0 && echo term''inal; stty size; trap 'echo the size changed' WINCH")
        screen.expect(r"terminal\n24 80\n")
        screen.resize(50, 132)
        screen.line("stty size")
        screen.expect(r"50 132\n")
        screen.line("sh -c 'echo go''ing; exec sleep 300'")
        screen.expect("^going")
        screen.type("\x03")
        screen.expect(r"a project\$ ")
        screen.line("echo after $?")
        screen.expect(r"after 130\n")
        screen.line("sh -c 'echo go''ing; read line; echo got $line; read more'")
        screen.expect("^going")
        screen.type("\x1a")
        screen.expect("Stopped")
        screen.line("fg")
        screen.line("hello")
        screen.expect("^got hello")
        screen.type("\x03")
        screen.expect(r"a project\$ ")
        screen.line("exit 5")
        assert screen.wait() == 5


def test_a_resize_interrupts_a_running_command(world):
    script = "trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.1; done"
    with terminal(world.command("run", "--", "bash", "-c", script), **world.options()) as screen:
        screen.expect("ready")
        screen.resize(33, 99)
        screen.expect("33 99")
        assert screen.wait() == 3


def test_a_run_is_stopped_and_continued_from_the_hosts_shell(world):
    options = world.options()
    options["env"] = {**options["env"], "PS1": "host> "}
    with terminal(["bash", "--norc", "--noprofile", "-i"], **options) as screen:
        screen.expect("host> ")
        # Without a child of the shell: one that is stopped between vfork and exec stops its parent for good.
        script = 'echo started; read line; echo "got $line"; read more'
        screen.line(f"{world.person.python} -m envbox run -- sh -c '{script}'")
        screen.expect("^started")
        screen.type("\x1a")
        screen.expect("Stopped")
        screen.line("jobs; echo still here")
        screen.expect("^still here")
        screen.line("fg")
        screen.expect("^.*envbox run")
        screen.line("hello")
        screen.expect("^got hello")
        screen.type("\x03")
        screen.expect("host> ")
        screen.line("echo status $?")
        screen.expect("^status 130")
        screen.line("exit")
        screen.wait()


def test_a_program_in_the_terminal_can_be_interrupted(world):
    with terminal(world.command("run", "--", "sh", "-c", "echo going; exec sleep 300"), **world.options()) as screen:
        screen.expect("going")
        screen.type("\x03")
        assert screen.wait() == 128 + signal.SIGINT


# --- the Python interface -------------------------------------------------------------------------------------------

THREADS = """
import sys, threading, envbox
project = envbox.load()
results = {}
def work(number):
    results[number] = project.run(["sh", "-c", f"echo out {number}; echo err >&2; exit {number}"], capture=True)
threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
for number in range(6):
    result = results[number]
    assert result.exit_status == number, result
    assert result.stdout == f"out {number}\\n".encode(), result
    assert result.stderr == b"err\\n", result
print("done", project.status().is_built)
"""


def test_a_script_with_threads_runs_commands_and_gets_their_output(world):
    assert world.execute([world.person.python, "-c", THREADS]).output == "done True\n"


def test_a_script_meets_errors_as_exceptions(world):
    script = "import envbox\ntry: envbox.load('/')\nexcept envbox.EnvboxError as error: print(error.code, error.hint)"
    assert world.execute([world.person.python, "-c", script]).output == "EB-PROJECT run `envbox init` to write one\n"
