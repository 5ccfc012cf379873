"""A build's fake root: ownership is recorded as real root would have set it, devices and identities are granted."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envbox.sandbox.owners import parse_owners
from tests.support import sandbox
from tests.support.sandbox import STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbox.sandbox.spec import SandboxSpec
    from tests.support.sandbox import Kit, Outcome

pytestmark = pytest.mark.hermetic


@pytest.fixture(scope="module", params=["self", "plain"])
def kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    plain = request.param == "plain"
    if plain and (os.geteuid() != 0 or not sandbox.python_for(plain=True)):
        pytest.skip("only root can become another user")
    with sandbox.kit(plain=plain) as made:
        yield made


def build(kit: Kit, script: str) -> tuple[SandboxSpec, Outcome]:
    spec = kit.fake_root("bash", "-c", f"cd /srv; {script}")
    outcome = kit.launch(spec)
    assert outcome.failure is None, outcome.failure
    return spec, outcome


def owners(spec: SandboxSpec) -> dict[str, str]:
    """Every owner recorded below /srv and /usr/bin, from attributes and from the file."""
    found = {}
    for folder, folders, files in os.walk(spec.upper):
        for name in folders + files:
            path = os.path.join(folder, name)
            try:
                value = os.getxattr(path, "user.envbox.owner", follow_symlinks=False)
            except OSError:
                continue
            found[os.path.relpath(path, spec.upper)] = value.decode()
    listed = parse_owners(Path(spec.owners).read_bytes())
    return found | {path: f"{uid}:{gid}" for path, (uid, gid) in listed.items()}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("touch f; chown 1:2 f", {"srv/f": "1:2"}),
        ("mkdir d; chown 1:2 d", {"srv/d": "1:2"}),
        ("ln -s nowhere l; chown -h 1:2 l", {"srv/l": "1:2"}),
        ("mkfifo p; chown 1:2 p", {"srv/p": "1:2"}),
        ("touch f; ln -s f l; chown 1:2 l", {"srv/f": "1:2"}),
        ("touch f; chown 1:2 f; chown :7 f", {"srv/f": "1:7"}),
        ("touch f; chown 1:2 f; chown 7 f", {"srv/f": "7:2"}),
        ("ln -s x l; chown -h 1:2 l; chown -h :7 l", {"srv/l": "1:7"}),
        ("touch f; chown 1:2 f; chown 0:0 f", {}),
        ("ln -s x l; chown -h 1:2 l; chown -h 0:0 l", {}),
        ("touch f; chown 4294967294:65534 f", {"srv/f": "4294967294:65534"}),
        ("mkdir d; touch d/f; chown -R 1:2 d", {"srv/d": "1:2", "srv/d/f": "1:2"}),
        ("ln -s x l; chown -h 1:2 l; mv l m; ln -s x l", {"srv/m": "1:2"}),
        ("ln -s x l; chown -h 1:2 l; rm l; ln -s x l; ln -s y m", {}),
        ("ln -s x 'a b\\c'; chown -h 1:2 'a b\\c'", {"srv/a b\\c": "1:2"}),
        ("ln -s x $'a\\nb'; chown -h 1:2 $'a\\nb'", {"srv/a\nb": "1:2"}),
        ("touch f; chown 1:2 f; mv f g; touch f; ln g h", {"srv/g": "1:2", "srv/h": "1:2"}),
        ("mkdir d; ln -s /srv/d l; touch d/f; cd l; chown 1:2 f ../d", {"srv/d/f": "1:2", "srv/d": "1:2"}),
        ("mkdir -p d/e; touch f; cd d/e; chown 1:2 ../../f", {"srv/f": "1:2"}),
        ("touch f; exec 5<f; chown 1:2 /proc/self/fd/5", {"srv/f": "1:2"}),
        ("touch f; chown 1:2 /dev/stdin < f", {"srv/f": "1:2"}),
        ("chown 1:2 /usr/bin/true", {"usr/bin/true": "1:2"}),
        ("chown 0:0 /usr/bin/true /usr/bin /bin", {}),
    ],
)
def test_the_owner_that_was_meant_is_recorded(kit: Kit, script: str, expected: dict[str, str]) -> None:
    spec, outcome = build(kit, script)
    assert (outcome.status, outcome.errors) == (0, "")
    assert owners(spec) == expected


def test_chown_of_a_lower_file_copies_it_up_and_a_vain_one_does_not(kit: Kit) -> None:
    spec, _ = build(kit, "chown 1:2 /usr/bin/true; chown 0:0 /usr/bin/cat")
    assert os.listdir(f"{spec.upper}/usr/bin") == ["true"]
    assert "user.envbox.owner" not in os.listxattr(f"{kit.layer}/usr/bin/true")


def test_the_owner_recorded_in_a_lower_layer_is_kept_by_minus_one(kit: Kit) -> None:
    layer = kit.new_folder("owned")
    os.makedirs(f"{layer}/srv", exist_ok=True)
    Path(layer, "srv/file").touch()
    kit.own_tree(layer)
    os.setxattr(f"{layer}/srv/file", "user.envbox.owner", b"5:6")
    spec = dataclasses.replace(kit.fake_root("chown", ":9", "/srv/file"), layers=(kit.layer, layer))
    assert kit.launch(spec).status == 0
    assert owners(spec) == {"srv/file": "5:9"}


@pytest.mark.parametrize(("before", "after"), [("4755", "755"), ("2755", "755"), ("6711", "711")])
@pytest.mark.parametrize("owner", ["1:2", "0:0"])
def test_set_id_bits_are_cleared_as_the_kernel_clears_them(kit: Kit, before: str, after: str, owner: str) -> None:
    _, outcome = build(kit, f"touch f; chmod {before} f; chown {owner} f; stat -c %a f")
    assert outcome.output == f"{after}\n"


def test_set_id_bits_of_a_folder_stay(kit: Kit) -> None:
    _, outcome = build(kit, "mkdir d; chmod 6755 d; chown 1:2 d; stat -c %a d")
    assert outcome.output == "6755\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("chown 1:2 missing", "No such file or directory"),
        ("touch f; chown 1:2 f/x", "Not a directory"),
        ("ln -s l l; chown 1:2 l", "Too many levels of symbolic links"),
        ("chown 1:2 $(printf '%05000d' 0)", "File name too long"),
        ("chown 1:2 /proc/sys/kernel", "changing ownership of"),
    ],
)
def test_what_cannot_be_found_or_changed_fails_as_usual(kit: Kit, script: str, message: str) -> None:
    spec, outcome = build(kit, script)
    assert outcome.status == 1
    assert message in outcome.errors
    assert owners(spec) == {}


def test_device_nodes_are_granted_and_other_nodes_are_made(kit: Kit) -> None:
    spec, outcome = build(kit, "mknod c c 1 3 && mknod b b 7 0 && mknod p p && mkfifo q; ls -A")
    assert outcome.output.split() == ["p", "q"]
    assert stat.S_ISFIFO(os.lstat(f"{spec.upper}/srv/p").st_mode)


def test_changing_identity_and_syncing_succeed(kit: Kit) -> None:
    code = """
import os, socket
os.setgroups([1, 2]); os.setgid(5); os.setuid(5); os.setresuid(1, 2, 3); os.setreuid(1, 2); os.setregid(1, 2)
os.setresgid(1, 2, 3); os.sync(); f = os.open('/srv', os.O_RDONLY); os.fsync(f); os.fdatasync(f)
print(os.getuid(), os.getgid())
"""
    spec = kit.fake_root(*kit.python_inside(code), mounts=(*STANDARD, *kit.python_mounts()))
    outcome = kit.launch(dataclasses.replace(spec, environment=kit.python_environment()))
    assert (outcome.output, outcome.errors) == ("0 0\n", "")


def test_every_form_of_the_call_is_answered(kit: Kit) -> None:
    code = """
import os, ctypes, threading
libc = ctypes.CDLL(None, use_errno=True)
os.chdir('/srv')
for name in 'abcdefghij': open(name, 'w').close()
for name in 'lmn': os.symlink('a', name)
os.mkdir('folder'); open('folder/x', 'w').close()
os.chown('a', 1, 2)
os.lchown('l', 3, 4)
f = os.open('b', os.O_RDONLY); os.fchown(f, 5, 6)
d = os.open('folder', os.O_RDONLY)
os.chown('x', 7, 8, dir_fd=d)
os.chown('m', 9, 10, dir_fd=os.open('.', os.O_PATH), follow_symlinks=False)
p = os.open('c', os.O_PATH)
assert libc.fchownat(p, b'', 11, 12, 0x1000) == 0
q = os.open('n', os.O_PATH | os.O_NOFOLLOW)
assert libc.fchownat(q, b'', 13, 14, 0x1000) == 0
assert libc.fchownat(-100, b'e', 1, 1, 0x8000) == -1 and ctypes.get_errno() == 22
assert libc.fchownat(-100, None, 1, 1, 0) == -1 and ctypes.get_errno() == 14
assert libc.chown(ctypes.c_void_p(2**62), 1, 1) == -1 and ctypes.get_errno() == 14
assert libc.chown(b'', 1, 1) == -1 and ctypes.get_errno() == 2
assert libc.fchown(99, 1, 1) == -1 and ctypes.get_errno() == 9
assert libc.fchownat(99, b'x', 1, 1, 0) == -1 and ctypes.get_errno() == 9
t = threading.Thread(target=os.chown, args=('g', 15, 16)); t.start(); t.join()
long = os.getcwd() + '/' + './' * 2000 + 'h'
os.chown(long, 17, 18)
pipe = os.pipe(); os.fchown(pipe[0], 0, 0)
"""
    spec = kit.fake_root(*kit.python_inside(code), mounts=(*STANDARD, *kit.python_mounts()))
    spec = dataclasses.replace(spec, environment=kit.python_environment())
    outcome = kit.launch(spec)
    assert outcome.errors == ""
    assert owners(spec) == {
        "srv/a": "1:2", "srv/l": "3:4", "srv/b": "5:6", "srv/folder/x": "7:8", "srv/m": "9:10", "srv/c": "11:12",
        "srv/n": "13:14", "srv/g": "15:16", "srv/h": "17:18",
    }  # fmt: skip


def test_a_changed_root_is_looked_up_in(kit: Kit) -> None:
    code = """
import os
os.makedirs('/srv/r/etc'); open('/srv/r/etc/f', 'w').close(); open('/srv/r/g', 'w').close()
os.symlink('/etc/f', '/srv/r/l'); open('/etc/f', 'w').close()
os.chroot('/srv/r'); os.chdir('/')
os.chown('/etc/f', 1, 2); os.chown('l', -1, 3); os.chown('../../g', 4, 5); os.lchown('/l', 6, 7)
"""
    spec = kit.fake_root(*kit.python_inside(code), mounts=(*STANDARD, *kit.python_mounts()))
    spec = dataclasses.replace(spec, environment=kit.python_environment())
    outcome = kit.launch(spec)
    assert outcome.errors == ""
    assert owners(spec) == {"srv/r/etc/f": "1:3", "srv/r/g": "4:5", "srv/r/l": "6:7"}


def test_the_next_command_on_the_same_root_knows_the_owners_of_links(kit: Kit) -> None:
    spec, _ = build(kit, "ln -s x keep; ln -s x gone; ln -s x both; chown -h 1:2 keep gone both")
    second = kit.launch(
        dataclasses.replace(spec, argv=("bash", "-c", "cd /srv; rm gone; chown -h :9 both; mv keep kept"))
    )
    assert second.failure is None
    assert owners(spec) == {"srv/kept": "1:2", "srv/both": "1:9"}


def test_what_still_runs_at_the_end_can_no_longer_change_anything(kit: Kit) -> None:
    script = (
        "ln -s x l; (while :; do chown -h 1:1 l; chown -h 2:2 l; done) & while [ ! -d /proc/$! ]; do :; done; exit 6"
    )
    spec, outcome = build(kit, script)
    assert outcome.status == 6
    assert set(owners(spec).values()) <= {"1:1", "2:2"}


def test_statuses_signals_and_stops_work_as_in_a_plain_session(kit: Kit) -> None:
    assert build(kit, "exit 42")[1].status == 42
    assert build(kit, "kill -TERM $$")[1].status == 143
    missing = kit.launch(kit.fake_root("no-such-command"))
    assert (missing.status, missing.errors) == (127, "envbox: no-such-command: command not found\n")


def test_without_proc_there_is_no_fake_root(kit: Kit) -> None:
    outcome = kit.launch(kit.fake_root("true", mounts=STANDARD[1:]))
    assert outcome.failure is not None
    assert outcome.failure["stage"] == "fake root"


def test_an_owners_file_that_cannot_be_written_is_a_failure_before_the_command(kit: Kit) -> None:
    spec = dataclasses.replace(kit.fake_root("bash", "-c", "echo ran"), owners="/no/such/folder/owners")
    outcome = kit.launch(spec)
    assert outcome.failure is not None
    assert (outcome.failure["stage"], outcome.output) == ("fake root", "")


def test_ten_thousand_changes_are_cheap(kit: Kit) -> None:
    code = "import os, time\nos.chdir('/srv'); open('f', 'w').close(); t = time.perf_counter()\nfor i in range(10000): os.chown('f', i + 1, i)\nprint(time.perf_counter() - t)"
    spec = kit.fake_root(*kit.python_inside(code), mounts=(*STANDARD, *kit.python_mounts()))
    spec = dataclasses.replace(spec, environment=kit.python_environment())
    assert float(kit.launch(spec).output) < 10
    assert owners(spec) == {"srv/f": "10000:9999"}
