"""The native back end on this kernel: isolation, mounts, exit statuses, signals, failures; as root and as nobody."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from envbox.sandbox.spec import Mount
from tests.support import sandbox
from tests.support.sandbox import STANDARD, Kit

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.hermetic
PACKAGE = str(Path(__file__).resolve().parents[2])
NEW_MOUNT_API = (428, 429, 430, 431, 432, 442)


@pytest.fixture(scope="module", params=["self", "plain"])
def kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    plain = request.param == "plain"
    if plain and (os.geteuid() != 0 or not sandbox.python_for(plain=True)):
        pytest.skip("only root can become another user")
    with sandbox.kit(plain=plain) as made:
        yield made


def wait_until(condition: Any, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def processes(mark: str) -> list[int]:
    """Every process on this host with `mark` in its arguments."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if mark.encode() in Path(f"/proc/{int(entry)}/cmdline").read_bytes().split(b"\0"):
                found.append(int(entry))
    return found


# --- what is seen inside ---------------------------------------------------------------------------------------


def test_inside_there_are_a_user_a_host_name_and_only_own_processes(kit: Kit) -> None:
    outcome = kit.shell("id -u; id -g; hostname; echo $$; echo /proc/[0-9]*; cat /proc/1/comm")
    assert outcome.output.split() == ["1000", "1000", "box", "2", "/proc/1", "/proc/2", "envbox"]


def test_no_descriptor_of_the_caller_is_passed_on(kit: Kit) -> None:
    host = os.open("/", os.O_RDONLY)
    os.set_inheritable(host, True)
    try:
        outcome = kit.launch(kit.spec("bash", "-c", "echo /proc/self/fd/*"), pass_fds=(host,))
    finally:
        os.close(host)
    assert outcome.output.split() == [f"/proc/self/fd/{number}" for number in (0, 1, 2, 3)]  # 3: the glob's own


def test_the_environment_is_the_specs_and_process_1_shows_none(kit: Kit) -> None:
    spec = kit.spec("env", environment=(("PATH", "/usr/bin"), ("NAME", "wörld=1")))
    outcome = kit.launch(spec, env={"SECRET_TOKEN": "hunter2", "PATH": "/usr/bin"})
    assert sorted(outcome.output.split()) == ["NAME=wörld=1", "PATH=/usr/bin"]
    spec = kit.spec("bash", "-c", "cat /proc/1/environ; cat /proc/1/cmdline", uid=0, gid=0)
    outcome = kit.launch(spec, env={"SECRET_TOKEN": "hunter2", "PATH": "/usr/bin"})
    assert "hunter2" not in outcome.output
    assert "launch.py" not in outcome.output


@pytest.mark.parametrize("uid", [0, 1000])
def test_process_1_cannot_be_looked_into(kit: Kit, uid: int) -> None:
    script = """
        cd /proc/1; cat environ maps mem auxv; ls root/ cwd/; readlink exe root cwd fd/*; cat fd/*; : 3>>fd/4
    """
    outcome = kit.shell(script, uid=uid, gid=uid)
    assert outcome.output == ""


def test_no_path_of_the_host_is_there(kit: Kit) -> None:
    outcome = kit.shell("ls -d /var /home /usr/share /etc/passwd; cat /proc/self/mounts /proc/self/mountinfo; ls /root")
    assert kit.folder not in outcome.output
    assert [line for line in outcome.output.splitlines() if line.startswith(("/var", "/home", "/usr", "/etc"))] == []


def test_privileges_are_gone_for_a_user_and_confined_for_root(kit: Kit) -> None:
    script = (
        "while read -r name value; do case $name in Cap*|NoNewPrivs:) echo $name$value;; esac; done </proc/self/status"
    )
    outcome = kit.shell(script)
    none = "0" * 16
    assert outcome.output.split() == [
        f"CapInh:{none}", f"CapPrm:{none}", f"CapEff:{none}", f"CapBnd:{none}", f"CapAmb:{none}", "NoNewPrivs:1",
    ]  # fmt: skip
    as_root = kit.shell(script, uid=0, gid=0).output.split()
    assert f"CapEff:{none}" not in as_root
    assert "NoNewPrivs:1" in as_root


def test_a_plain_user_can_make_sandboxes_inside(kit: Kit) -> None:
    if os.geteuid() == 0 and not kit.plain:
        pytest.skip("the host's root has parts of /proc covered, and the kernel then mounts no other")
    outcome = kit.run("unshare", "-Urpf", "--mount-proc", "bash", "-c", "id -u; echo /proc/[0-9]*")
    assert outcome.output == "0\n/proc/1\n"


@pytest.mark.parametrize(
    "path",
    ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_helper"],
)
@pytest.mark.parametrize("uid", [0, 1000])
def test_the_hosts_kernel_settings_cannot_be_written(kit: Kit, path: str, uid: int) -> None:
    outcome = kit.shell(f"echo x > {path}", uid=uid, gid=uid)
    assert outcome.status == 1
    assert outcome.errors.strip().endswith(("Read-only file system", "Permission denied")) or not os.path.exists(path)


def test_devices_work_and_are_the_harmless_ones(kit: Kit) -> None:
    script = """
        echo gone > /dev/null; head=$(od -An -N2 /dev/zero 2>/dev/null); echo /dev/*; (echo hi > /dev/stdout) > /tmp/out; cat /tmp/out
        [ -c /dev/full ] && ! echo x > /dev/full; cat /dev/stdin < /tmp/out; echo x > /dev/shm/file && cat /dev/shm/file
        [ -c /dev/ptmx ] && echo ptmx
    """
    outcome = kit.shell(script)
    names = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert outcome.output.splitlines() == [
        " ".join(f"/dev/{name}" for name in names.split()), "hi", "hi", "x", "ptmx",
    ]  # fmt: skip


def test_temporary_folders_have_their_modes(kit: Kit) -> None:
    outcome = kit.shell("stat -c %a /tmp /run /dev/shm; umask", umask=0o027)
    assert outcome.output.split() == ["1777", "755", "1777", "0027"]


def test_network_none_has_only_loopback_and_it_is_up(kit: Kit) -> None:
    outcome = kit.shell(
        "tail -n +3 /proc/net/dev; (: < /dev/tcp/127.0.0.1/9) 2>&1; (: < /dev/tcp/192.0.2.1/9) 2>&1", network="none"
    )
    assert [line.split(":")[0].strip() for line in outcome.output.splitlines() if "bash" not in line] == ["lo"]
    assert "Connection refused" in outcome.output
    assert "Network is unreachable" in outcome.output


def test_network_host_is_the_hosts(kit: Kit) -> None:
    assert kit.shell("tail -n +3 /proc/net/dev").output.count(":") == len(os.listdir("/sys/class/net"))


# --- the root ---------------------------------------------------------------------------------------------------


def new_layer(kit: Kit, name: str, files: dict[str, str | None]) -> str:
    """A layer of small files; None is a whiteout."""
    folder = kit.new_folder(name)
    for path, text in files.items():
        place = os.path.join(folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if text is None:
            os.mknod(place, 0o020000, os.makedev(0, 0))
        else:
            Path(place).write_text(text, encoding="utf-8")
    kit.own_tree(folder)
    return folder


def test_higher_layers_hide_lower_ones_and_whiteouts_remove(kit: Kit) -> None:
    low = new_layer(kit, "low", {"srv/a": "low", "srv/b": "low", "srv/c": "low"})
    high = new_layer(kit, "high", {"srv/b": "high", "srv/c": None})
    outcome = kit.shell("cd /srv; echo *; cat a b", layers=(kit.layer, low, high))
    assert outcome.output == "a b\nlowhigh"


def test_layers_are_never_written_and_the_upper_holds_what_was(kit: Kit) -> None:
    layer = new_layer(kit, "kept", {"srv/file": "before", "srv/gone": "x"})
    spec = kit.spec("bash", "-c", "echo after > /srv/file; rm /srv/gone; mkdir /srv/new", layers=(kit.layer, layer))
    assert kit.launch(spec).status == 0
    assert Path(layer, "srv/file").read_text(encoding="utf-8") == "before"
    assert Path(layer, "srv/gone").exists()
    assert Path(spec.upper, "srv/file").read_text(encoding="utf-8") == "after\n"
    assert sorted(os.listdir(f"{spec.upper}/srv")) == ["file", "gone", "new"]


def test_a_folder_removed_and_made_again_is_empty(kit: Kit) -> None:
    layer = new_layer(kit, "again", {"srv/folder/file": "x"})
    outcome = kit.shell("rm -r /srv/folder && mkdir /srv/folder && echo /srv/folder/*", layers=(kit.layer, layer))
    assert outcome.output == "/srv/folder/*\n"


def test_the_same_upper_serves_again_and_holds_nothing_random(kit: Kit) -> None:
    spec = kit.spec("bash", "-c", "echo more >> /srv/log; cat /srv/log")
    assert [kit.launch(spec).output for _ in range(3)] == ["more\n" * count for count in (1, 2, 3)]
    assert "user.overlay.uuid" not in os.listxattr(spec.upper)


def test_two_sandboxes_cannot_share_an_upper(kit: Kit) -> None:
    spec = kit.spec("sleep", "30")
    first = kit.start(spec)
    try:
        upper = Path(spec.upper)
        assert wait_until(lambda: list(upper.parent.glob("work/work")))
        second = kit.launch(kit.spec("true", upper=spec.upper, work=spec.work))
        assert second.failure is not None
        assert second.failure["stage"] == "upper in use"
    finally:
        first.terminate()
        first.wait()


@pytest.mark.parametrize("count", [64, 300])
def test_many_layers_with_awkward_names_are_all_there(kit: Kit, count: int) -> None:
    names = [f"{number} a:b,c\\d\n=é{'x' * 60}" for number in range(count)]
    layers = [new_layer(kit, f"{count}-{name}", {f"srv/{i}": str(i)}) for i, name in enumerate(names)]
    outcome = kit.shell("cd /srv; cat *", layers=(kit.layer, *layers))
    assert sorted(outcome.output) == sorted("".join(str(number) for number in range(count)))


@pytest.mark.parametrize("layers", [1, 2])
def test_without_an_upper_the_root_is_read_only(kit: Kit, layers: int) -> None:
    empty = new_layer(kit, "empty", {"srv/file": "x"})
    spec = kit.spec(
        "bash", "-c", "touch /srv/x; touch /tmp/x && ls /tmp", layers=(kit.layer, empty)[:layers], upper="", work=""
    )
    outcome = kit.launch(spec)
    assert outcome.output == "x\n"
    assert "Read-only" in outcome.errors


# --- mounts -----------------------------------------------------------------------------------------------------


def test_a_bound_folder_is_the_hosts_and_a_read_one_cannot_be_written_or_remounted(kit: Kit) -> None:
    host = kit.new_folder("project")
    mounts = (*STANDARD, Mount("bind", "/work/rw", host), Mount("bind", "/work/ro", host, access="read"))
    outcome = kit.shell("echo hi > /work/rw/file; cat /work/ro/file; echo no > /work/ro/file", mounts=mounts)
    assert outcome.output == "hi\n"
    assert "Read-only" in outcome.errors
    assert Path(host, "file").read_text(encoding="utf-8") == "hi\n"
    assert Path(host, "file").stat().st_uid == (sandbox.PLAIN_ID if kit.plain else os.geteuid())


def test_read_access_reaches_what_is_mounted_below_the_source(kit: Kit) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount on the host")
    host = kit.new_folder("with-mount")
    below = kit.new_folder("with-mount/below")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", below], check=True)
    try:
        mounts = (*STANDARD, Mount("bind", "/data", host, access="read"))
        outcome = kit.shell("touch /data/below/x || echo refused", mounts=mounts)
        assert outcome.output == "refused\n"
    finally:
        subprocess.run(["umount", below], check=True)


@pytest.mark.parametrize("prefix", ["", "unshare -Urm "])
def test_what_is_read_only_stays_so_for_root_inside(kit: Kit, prefix: str) -> None:
    host = kit.new_folder("read only")
    mounts = (*STANDARD, Mount("bind", "/data", host, access="read"))
    for command in (
        "mount -o remount,bind,rw /data", "mount -o remount,bind,rw /sys", "mount -o remount,bind,rw /proc/sys",
        "umount /proc/sys", "umount /data", "umount -l /proc", "mount -t proc proc /srv && echo > /srv/sys/kernel/panic",
    ):  # fmt: skip
        outcome = kit.shell(f"{prefix}bash -c '{command}'", mounts=mounts, uid=0, gid=0)
        assert outcome.status != 0, command


def test_a_file_can_be_bound_and_a_missing_optional_source_is_left_out(kit: Kit) -> None:
    file = kit.path("resolv.conf")
    Path(file).write_text("nameserver 192.0.2.1\n", encoding="utf-8")
    mounts = (
        *STANDARD,
        Mount("bind", "/etc/resolv.conf", file, access="read"),
        Mount("bind", "/etc/missing", kit.path("missing"), optional=True),
    )
    outcome = kit.shell("cat /etc/resolv.conf; ls /etc", mounts=mounts)
    assert outcome.output == "nameserver 192.0.2.1\nresolv.conf\n"


def test_a_bind_through_a_link_of_the_image_stays_inside(kit: Kit) -> None:
    outside = kit.new_folder("outside")
    layer = new_layer(kit, "linked", {"srv/x": ""})
    os.symlink(outside, f"{layer}/srv/absolute")
    os.symlink("../../../../../../.." + outside, f"{layer}/srv/relative")
    source = kit.new_folder("source")
    Path(source, "mark").touch()
    for link in ("absolute", "relative"):
        mounts = (*STANDARD, Mount("bind", f"/srv/{link}/below", source))
        outcome = kit.shell(f"ls /srv/{link}/below", layers=(kit.layer, layer), mounts=mounts)
        assert outcome.output == "mark\n"
        assert os.listdir(outside) == []


@pytest.mark.parametrize("target", ["/proc", "/dev", "/sys", "/tmp", "/run"])
@pytest.mark.parametrize("text", ["/srv", "../../../../var/tmp", "/nowhere", "tmp"])
def test_a_core_target_that_is_a_link_is_refused(kit: Kit, target: str, text: str) -> None:
    layer = kit.new_folder(f"link{target.replace('/', '-')}{text.replace('/', '-')}")
    if not os.path.islink(layer + target):
        os.symlink(text, layer + target)
        kit.own(layer + target)
    outcome = kit.run("true", layers=(kit.layer, layer))
    assert outcome.status == 125
    assert outcome.failure is not None
    assert outcome.failure["stage"] == f"mount {target}"
    assert outcome.failure["errno"] == 40


def test_nothing_is_left_on_the_host(kit: Kit) -> None:
    before = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    spec = kit.spec("true")
    assert kit.launch(spec).status == 0
    assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == before
    assert os.listdir(spec.root) == []


# --- the command ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 42, 125, 126, 127, 255])
def test_exit_statuses_pass_through(kit: Kit, status: int) -> None:
    outcome = kit.shell(f"exit {status}")
    assert (outcome.status, outcome.failure) == (status, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGPIPE, signal.SIGINT])
def test_a_command_ended_by_a_signal_gives_128_and_its_number(kit: Kit, number: int) -> None:
    assert kit.shell(f"kill -{int(number)} $$").status == 128 + number


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (("no-such-command",), 127, "envbox: no-such-command: command not found\n"),
        (("/no/such/command",), 127, "envbox: /no/such/command: command not found\n"),
        (("",), 127, "envbox: : command not found\n"),
        (("/etc",), 126, "envbox: /etc: Permission denied\n"),
        (("/srv/data",), 126, "envbox: /srv/data: Permission denied\n"),
        (("/srv/foreign",), 126, "envbox: /srv/foreign: its interpreter is not there\n"),
    ],
)
def test_a_command_that_cannot_start_says_so_in_one_line(
    kit: Kit, argv: tuple[str, ...], status: int, message: str
) -> None:
    layer = new_layer(kit, "commands", {"srv/data": "x", "srv/foreign": "#!/no/interpreter\n"})
    os.chmod(f"{layer}/srv/foreign", 0o755)
    outcome = kit.run(*argv, layers=(kit.layer, layer))
    assert (outcome.status, outcome.errors, outcome.failure) == (status, message, None)


def test_a_script_without_a_first_line_is_the_shells_and_path_is_searched(kit: Kit) -> None:
    layer = new_layer(kit, "scripts", {"srv/bin/tool": 'echo "$0 $1"\n', "srv/other/tool": "not this"})
    os.chmod(f"{layer}/srv/bin/tool", 0o755)
    outcome = kit.run("tool", "x", layers=(kit.layer, layer), environment=(("PATH", "/srv/other:/nowhere:/srv/bin"),))
    assert outcome.output == "/srv/bin/tool x\n"


def test_input_and_output_pass_unchanged(kit: Kit) -> None:
    data = os.urandom(1 << 20)
    argv, _ = kit.command(kit.spec("cat"))
    done = subprocess.run(argv, input=data, capture_output=True, check=True, **kit.identity())
    assert done.stdout == data


def test_closed_standard_descriptors_do_no_harm(kit: Kit) -> None:
    argv, failure = kit.command(kit.spec("bash", "-c", "cat; echo out; echo error >&2; exit 9"))
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *argv], check=False, **kit.identity())
    assert done.returncode == 9
    assert not os.path.exists(failure)


def test_zombies_are_reaped(kit: Kit) -> None:
    script = """
        for i in 1 2 3 4 5 6 7 8 9 10; do (for j in 1 2 3 4 5 6 7 8 9 10; do (true &) ; done); done
        while zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | while read -r l; do case $l in *') Z 1 '*) echo z;; esac; done);
        do [ -z "$zombies" ] && break; done; echo clean
    """
    assert kit.shell(script).output == "clean\n"


def test_everything_dies_with_the_command(kit: Kit) -> None:
    mark = f"9{os.getpid()}1"
    outcome = kit.shell(f"(trap '' TERM HUP; exec sleep {mark}) & while [ ! -d /proc/$! ]; do :; done; exit 3")
    assert outcome.status == 3
    assert processes(mark) == []


# --- signals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "ALRM"])
def test_a_signal_sent_to_the_caller_reaches_the_command_once(kit: Kit, name: str) -> None:
    script = f"trap 'echo got' {name}; trap 'exit 7' TERM; [ {name} = TERM ] && trap 'echo got; exit 7' TERM;"
    process = kit.start(
        kit.spec("bash", "-c", script + "echo ready; while :; do sleep 0.02; done"), stdout=-1, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.stdout.readline() == "got\n"
    if name != "TERM":
        time.sleep(0.1)
        process.terminate()
    assert process.wait(timeout=10) == 7
    assert process.stdout.read() == ""


@pytest.mark.parametrize("name", ["INT", "TERM", "USR1"])
def test_a_signal_sent_to_the_whole_group_arrives_once(kit: Kit, name: str) -> None:
    script = (
        f"trap 'echo got' {name}; echo ready; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 0.04; done; exit 5"
    )
    process = kit.start(kit.spec("bash", "-c", script), stdout=-1, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, getattr(signal, f"SIG{name}"))
    assert process.wait(timeout=10) == 5
    assert process.stdout.read() == "got\n"


def test_a_signal_that_the_command_does_not_catch_ends_it(kit: Kit) -> None:
    process = kit.start(kit.spec("bash", "-c", "echo ready; exec sleep 30"), stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    assert process.wait(timeout=10) == 128 + signal.SIGTERM


def test_killing_the_caller_ends_everything_at_once(kit: Kit) -> None:
    mark = f"9{os.getpid()}2"
    script = f"trap '' TERM HUP INT; (trap '' HUP; exec sleep {mark}) & (kill -STOP $BASHPID; exec sleep {mark}) & exec sleep {mark}"
    process = kit.start(kit.spec("bash", "-c", script))
    try:
        assert wait_until(lambda: len(processes(mark)) >= 2)
        process.kill()
        process.wait()
        assert wait_until(lambda: not processes(mark), seconds=1.0)
    finally:
        process.kill()


def test_a_stopped_command_stops_the_caller_and_continues_with_it(kit: Kit) -> None:
    process = kit.start(kit.spec("bash", "-c", "echo ready; kill -STOP $$; echo on; exit 4"), stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert process.stdout.readline() == "on\n"
    assert process.wait(timeout=10) == 4


# --- failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "stage", "number"),
    [
        ({"layers": ("/no/such/layer",)}, "layer", 2),
        ({"layers": ()}, "layer", 22),
        ({"upper": "/no/such/upper"}, "upper", 2),
        ({"work": "/no/such/work"}, "work", 2),
        ({"work": ""}, "overlay", 22),
        ({"root": "/no/such/root"}, "root", 2),
        ({"directory": "/no/such/directory"}, "directory", 2),
        ({"directory": "/proc/self/fd/1"}, "directory", 20),
        ({"hostname": "x" * 65}, "hostname", 22),
        ({"network": "moon"}, "network", 22),
        ({"argv": ()}, "command", 22),
        ({"argv": ("a\0b",)}, "command", 22),
        ({"environment": (("A=B", "x"),)}, "command", 22),
        ({"fake_root": True}, "fake root", 22),
        ({"mounts": (Mount("bind", "/x", "/no/such/source"),)}, "bind source", 2),
        ({"mounts": (Mount("bind", "/usr/bin/bash/x", "/etc"),)}, "mount target", 20),
        ({"mounts": (Mount("moon", "/x"),)}, "mount /x", 22),
        ({"mounts": (Mount("tmpfs", "/"),)}, "mount /", 16),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_a_step_that_fails_is_named_and_nothing_runs(
    kit: Kit, changes: dict[str, Any], stage: str, number: int
) -> None:
    spec = kit.spec("bash", "-c", "echo ran")
    argv, failure = kit.command(spec)
    Path(argv[-3]).write_text(dataclasses.replace(spec, **changes).to_json(), encoding="utf-8")
    done = subprocess.run(argv, capture_output=True, check=False, text=True, **kit.identity())
    outcome = sandbox.Outcome(done.returncode, done.stdout, done.stderr, sandbox.read_failure(failure))
    assert outcome.failure is not None
    assert (outcome.failure["stage"], outcome.failure["errno"]) == (stage, number)
    assert (outcome.status, outcome.output, outcome.errors) == (125, "", "")


def in_namespace(kit: Kit, prepare: str, **changes: Any) -> sandbox.Outcome:
    """A launch from within other namespaces that `prepare` has spoilt."""
    argv, failure = kit.command(kit.spec("true", **changes))
    shell = ["unshare", "-Urm", "sh", "-c", f'{prepare}; exec "$@"', "sh", *argv]
    done = subprocess.run(shell, capture_output=True, check=False, text=True, **kit.identity())
    return sandbox.Outcome(done.returncode, done.stdout, done.stderr, sandbox.read_failure(failure))


def test_a_host_without_user_namespaces_is_told_apart(kit: Kit) -> None:
    outcome = in_namespace(kit, "echo 0 > /proc/sys/user/max_user_namespaces")
    assert outcome.failure == {"stage": "user namespace", "errno": 28, "detail": ""}


def test_a_host_that_hides_parts_of_proc_is_told_apart(kit: Kit) -> None:
    outcome = in_namespace(kit, "mount -t tmpfs none /proc/sys")
    assert outcome.failure is not None
    assert (outcome.failure["stage"], outcome.failure["errno"]) == ("mount /proc", 1)


def test_upper_and_work_on_two_file_systems_are_no_overlay(kit: Kit) -> None:
    with sandbox.kit_folder("/dev/shm", kit) as other:
        outcome = kit.run("true", work=other)
    assert outcome.failure is not None
    assert (outcome.failure["stage"], outcome.failure["errno"]) == ("overlay", 22)


def test_a_caller_with_threads_gets_an_error_and_stays_as_it_was() -> None:
    code = f"""
        import sys, threading; sys.path.insert(0, {PACKAGE!r})
        import signal
        from envbox.sandbox.native import LaunchError, launch
        from envbox.sandbox.spec import SandboxSpec
        import json
        spec = SandboxSpec(("/",), "", "", "/", (), 0, 0, "box", "host", (), "/", ("true",))
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            launch(json.loads(spec.to_json()))
        except LaunchError as error:
            print(error.stage, error.errno, before == signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.stdout == "user namespace 22 True\n", done.stderr


# --- older kernels ----------------------------------------------------------------------------------------------


def without_calls(kit: Kit, numbers: tuple[int, ...], spec: Any) -> sandbox.Outcome:
    """A launch where these system calls do not exist."""
    argv, failure = kit.command(spec)
    code = f"""
        import os, sys; sys.path.insert(0, {PACKAGE!r})
        from envbox.sandbox import seccomp, syscalls
        syscalls.forbid_new_privileges()
        rows = seccomp.on_numbers({numbers!r}, seccomp.returns(seccomp.ERROR + 38))
        seccomp.install(seccomp.for_architectures([(seccomp.NATIVE[os.uname().machine], rows)]))
        os.execv(sys.argv[1], sys.argv[1:])
    """
    command = [kit.python, "-I", "-S", "-c", textwrap.dedent(code), *argv]
    done = subprocess.run(command, capture_output=True, check=False, text=True, **kit.identity())
    return sandbox.Outcome(done.returncode, done.stdout, done.stderr, sandbox.read_failure(failure))


@pytest.mark.parametrize(
    "numbers", [NEW_MOUNT_API, (442,), (430,), (431,), (436,)], ids=["all", "attributes", "fsopen", "fsconfig", "close"]
)
@pytest.mark.parametrize("upper", [True, False])
def test_older_kernels_give_the_same_sandbox(kit: Kit, numbers: tuple[int, ...], upper: bool) -> None:
    host = kit.new_folder("older kernel")
    Path(host, "mark").touch()
    layer = new_layer(kit, "targets", {"data/x": "", "more/x": ""})
    mounts = (*STANDARD, Mount("bind", "/data", host, access="read"), Mount("bind", "/more", host))
    script = """
        id -u; echo /dev/*; ls /data /more; stat -c %a /tmp /run; echo /proc/[0-9]*; echo /proc/self/fd/*
        touch /data/x || echo ro; echo x > /proc/sys/kernel/hostname || echo ro; touch /srv/x && echo rw
        while read -r _ _ _ _ point options _; do echo $point $options; done < /proc/self/mountinfo
    """
    changes: dict[str, Any] = {"layers": (kit.layer, layer), "mounts": mounts}
    if not upper:
        changes |= {"upper": "", "work": ""}
    current = kit.launch(kit.spec("bash", "-c", script, **changes))
    older = without_calls(kit, numbers, kit.spec("bash", "-c", script, **changes))
    assert older.failure is None, older.errors
    assert older.output == current.output
    assert older.output.splitlines()[0] == "1000"


def test_many_layers_fit_into_the_old_mount_call(kit: Kit) -> None:
    layers = [new_layer(kit, f"{'long' * 20}{i}", {f"srv/{i}": "x"}) for i in range(120)]
    outcome = without_calls(kit, NEW_MOUNT_API, kit.spec("bash", "-c", "cat /srv/*", layers=(kit.layer, *layers)))
    assert outcome.output == "x" * 120


# --- the long run -----------------------------------------------------------------------------------------------


def test_two_hundred_runs_leave_nothing_behind(kit: Kit) -> None:
    spec = kit.spec("/usr/bin/true")
    open_before, mounts_before = len(os.listdir("/proc/self/fd")), Path("/proc/self/mountinfo").read_bytes()
    for _ in range(200):
        argv, _ = kit.command(spec)
        subprocess.run(argv, check=True, **kit.identity())
    assert len(os.listdir("/proc/self/fd")) == open_before
    assert Path("/proc/self/mountinfo").read_bytes() == mounts_before


def test_parallel_launches_do_not_disturb_each_other(kit: Kit) -> None:
    running = [kit.start(kit.spec("bash", "-c", f"exit {number}")) for number in range(20)]
    assert [process.wait(timeout=60) for process in running] == list(range(20))
