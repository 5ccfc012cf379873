"""What programs of a build are told of owners agrees with what was recorded; as root, and as a plain user."""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envbox.sandbox.watch import Watch
from envbox.store import manifest
from tests.hermetic.test_sandbox_fake_root import build, kit, owners
from tests.support.sandbox import STANDARD

if TYPE_CHECKING:
    from envbox.sandbox.spec import SandboxSpec
    from tests.support.sandbox import Kit, Outcome

__all__ = ["kit"]
pytestmark = pytest.mark.hermetic

OWNED = "echo x > f; chown 1:2 f; "


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("stat -c %u:%g f", "1:2"),
        ("stat -c %u:%g /srv/f", "1:2"),
        ("cd /; stat -c %u:%g srv/../srv/f", "1:2"),
        ("stat -c %u:%g /proc/self/fd/0 -L < f", "1:2"),
        ("stat -L -c %u:%g /dev/stdin < f", "1:2"),
        ("stat -c %u:%g - < f", "1:2"),
        ("ln -s f l; chown -h 3:4 l; stat -c %u:%g l; stat -L -c %u:%g l", "3:4 1:2"),
        ("mkfifo p; chown 3:4 p; stat -c %u:%g p", "3:4"),
        ("mkdir d; chown 3:4 d; stat -c %u:%g d; cd d; stat -c %u:%g .", "3:4 3:4"),
        ("chown 0:0 f; stat -c %u:%g f", "0:0"),
        ("chown :7 f; stat -c %u:%g f", "1:7"),
        ("mv f g; stat -c %u:%g g; touch f; stat -c %u:%g f", "1:2 0:0"),
        ("rm f; touch f; stat -c %u:%g f", "0:0"),
        ("stat -c %u:%g f nothing; echo $?", "1:2 1"),
        ("ls -n f | { read -r _ _ u g _; echo $u:$g; }", "1:2"),
        ("ls -n . | { read -r _; read -r _ _ u g _; echo $u:$g; }", "1:2"),
        ("touch g; chown --reference=f g; stat -c %u:%g g", "1:2"),
        ("install -o 3 -g 4 f g; stat -c %u:%g g", "3:4"),
        ("cp f g; stat -c %u:%g g", "0:0"),
        ("cp -p f g; stat -c %u:%g g", "1:2"),
        ("mkdir d; mv f d; chown 3:4 d; cp -a d e; stat -c %u:%g e e/f", "3:4 1:2"),
        ("cp --preserve=ownership f g; stat -c %u:%g g", "1:2"),
        ("mv f /tmp/f; stat -c %u:%g /tmp/f; mv /tmp/f g; stat -c %u:%g g", "1:2 1:2"),
        ("sed -i s/x/y/ f; cat f; stat -c %u:%g f", "y 1:2"),
        ("sed --in-place s/x/y/ f; cat f; stat -c %u:%g f", "y 1:2"),
        ("sed -n -i.old s/x/y/p f; stat -c %u:%g f", "1:2"),
        ("touch g; find . -uid 1 -gid 2", "./f"),
        ("touch g; find . -user 1 -exec stat -c %n:%u {} +", "./f:1"),
        ("tar -c f | tar -tv --numeric-owner | { read -r _ owner _; echo $owner; }", "1/2"),
        ("tar -cf t f; rm f; tar -xf t; stat -c %u:%g f", "1:2"),
        ("a='--xattrs --xattrs-include=*'; tar $a -cf t f; chown 3:4 f; tar $a -xf t; stat -c %u:%g f", "1:2"),
        ("tar --no-same-owner -cf t f; mkdir d; tar --no-same-owner -C d -xf t; stat -c %u:%g d/f", "0:0"),
        ("[ -O f ] || echo no; chown 0 f; [ -O f ] && echo yes", "no yes"),
        ("[ -G f ] || echo no; chown :0 f; [ -G f ] && echo yes", "no yes"),
        ("/usr/bin/test -O f || echo no; chown 0 f; /usr/bin/test -O f && echo yes", "no yes"),
        ('if test "$(stat -c %u f)" = 1; then echo same; fi', "same"),
        ("cat f; mkdir d; (cd d; env stat -c %u:%g ../f)", "x 1:2"),
        ("exec stat -c %u:%g f", "1:2"),
    ],
)  # fmt: skip
def test_programs_are_told_the_owner_that_was_meant(kit: Kit, script: str, expected: str) -> None:
    _, outcome = build(kit, OWNED + script)
    assert outcome.output.split() == expected.split(), outcome.errors


def python(kit: Kit, code: str) -> tuple[SandboxSpec, Outcome]:
    spec = kit.fake_root(*kit.python_inside(code), mounts=(*STANDARD, *kit.python_mounts()))
    spec = dataclasses.replace(spec, environment=kit.python_environment())
    return spec, kit.launch(spec)


def test_every_form_of_the_call_is_answered(kit: Kit) -> None:
    code = """
import ctypes, os, platform, struct, threading
libc = ctypes.CDLL(None, use_errno=True)
machine = platform.machine()
os.chdir('/srv')
open('f', 'w').close(); os.chmod('f', 0o640); os.chown('f', 1, 2); os.symlink('f', 'l'); os.lchown('l', 3, 4)
os.mkdir('d'); open('d/f', 'w').close(); os.chown('d/f', 5, 6); open('r', 'w').close()
owner = lambda status: (status.st_uid, status.st_gid)
assert owner(os.stat('f')) == owner(os.stat('l')) == (1, 2), os.stat('f')
assert owner(os.lstat('l')) == (3, 4)
assert owner(os.stat('r')) == owner(os.lstat('d')) == (0, 0)
d = os.open('d', os.O_RDONLY)
assert owner(os.stat('f', dir_fd=d)) == (5, 6)
f = os.open('f', os.O_RDONLY)
assert owner(os.fstat(f)) == owner(os.fstat(os.open('f', os.O_PATH))) == (1, 2)
assert owner(os.fstat(os.open('l', os.O_PATH | os.O_NOFOLLOW))) == (3, 4)
assert owner(os.fstat(os.pipe()[0])) == (0, 0)
whole = os.stat('f')
assert (whole.st_mode, whole.st_nlink, whole.st_size) == (0o100640, 1, 0)
assert (whole.st_ino, whole.st_dev) == (os.fstat(f).st_ino, os.stat('r').st_dev)

newfstatat, fstat, statx, at = {'x86_64': (262, 5, 332, 28), 'aarch64': (79, 80, 291, 24)}[machine]
buffer = ctypes.create_string_buffer(256)
def told(offset, number, *arguments):
    ctypes.memset(buffer, 0xEE, 256)
    assert libc.syscall(number, *arguments) == 0, (number, arguments, ctypes.get_errno())
    return struct.unpack_from('=II', buffer.raw, offset)
assert told(at, newfstatat, -100, b'l', buffer, 0) == (1, 2)
assert told(at, newfstatat, -100, b'l', buffer, 0x100) == (3, 4)
assert told(at, newfstatat, -100, b'l', buffer, 0x900) == (3, 4)
assert told(at, newfstatat, f, b'', buffer, 0x1000) == (1, 2)
assert told(at, newfstatat, d, b'f', buffer, 0) == (5, 6)
assert told(at, fstat, f, buffer) == (1, 2)
assert told(20, statx, -100, b'l', 0, 0x7ff, buffer) == (1, 2)
assert told(20, statx, -100, b'l', 0x100, 0x7ff, buffer) == (3, 4)
assert told(20, statx, f, b'', 0x3000, 0x7ff, buffer) == (1, 2)
assert told(20, statx, d, b'f', 0, 0x18, buffer) == (5, 6)
if machine == 'x86_64':
    assert told(at, 4, b'l', buffer) == (1, 2)
    assert told(at, 6, b'l', buffer) == (3, 4)
for arguments, number in [
    ((newfstatat, -100, b'f', None, 0), 14), ((newfstatat, -100, b'f', ctypes.c_void_p(2**62), 0), 14),
    ((newfstatat, -100, b'none', buffer, 0), 2), ((newfstatat, -100, b'f/x', buffer, 0), 20),
    ((newfstatat, 99, b'f', buffer, 0), 9), ((newfstatat, -100, b'', buffer, 0), 2), ((fstat, 99, buffer), 9),
    ((newfstatat, -100, b'f', buffer, 0x8000), 22), ((statx, -100, b'f', 0x10000, 0x7ff, buffer), 22),
    ((newfstatat, -100, ctypes.c_void_p(8), buffer, 0), 14),
]:
    assert libc.syscall(*arguments) == -1 and ctypes.get_errno() == number, (arguments, ctypes.get_errno())
found = []
t = threading.Thread(target=lambda: found.append(owner(os.stat('f')))); t.start(); t.join()
assert found == [(1, 2)]
assert owner(os.stat(os.getcwd() + '/' + './' * 2000 + 'f')) == (1, 2)
assert owner(os.stat('/srv/f')) == (1, 2)
os.mkdir('root'); os.mkdir('root/srv'); open('root/srv/f', 'w').close(); os.chown('root/srv/f', 7, 8)
assert owner(os.stat('/srv/f')) == (1, 2)
os.chroot('root')
assert owner(os.stat('/srv/f')) == (7, 8)
assert owner(os.stat('/')) == (0, 0)
"""
    _, outcome = python(kit, code)
    assert (outcome.status, outcome.errors) == (0, "")


def test_an_owner_goes_with_the_file_and_not_with_its_number(kit: Kit) -> None:
    code = """
import os
os.chdir('/srv')
for turn in range(300):
    open('f', 'w').close()
    assert os.stat('f').st_uid == 0, turn
    os.chown('f', 1, 2)
    assert os.stat('f').st_uid == 1, turn
    if turn % 2: os.chown('f', 0, 0); assert os.stat('f').st_uid == 0, turn
    os.unlink('f')
"""
    assert python(kit, code)[1].errors == ""


def test_signals_do_not_disturb_the_answers(kit: Kit) -> None:
    code = """
import os, signal
arrived = []
signal.signal(signal.SIGALRM, lambda *_: arrived.append(1))
signal.siginterrupt(signal.SIGALRM, False)
open('/srv/f', 'w').close(); os.chown('/srv/f', 1, 2)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
while len(arrived) < 200:
    status = os.stat('/srv/f')
    assert (status.st_uid, status.st_gid) == (1, 2)
    os.chown('/srv/f', 1, 2)
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    _, outcome = python(kit, code)
    assert (outcome.status, outcome.errors) == (0, "")


def test_what_a_lower_layer_recorded_is_told(kit: Kit) -> None:
    layer = kit.new_folder("told")
    os.makedirs(f"{layer}/srv", exist_ok=True)
    Path(layer, "srv/file").touch()
    kit.own_tree(layer)
    os.setxattr(f"{layer}/srv/file", "user.envbox.owner", b"5:6")
    script = "stat -c %u:%g file; echo more > file; stat -c %u:%g file; ls /tmp; cp -p file new; stat -c %u:%g new"
    spec = kit.fake_root("bash", "-c", f"cd /srv; {script}")
    outcome = kit.launch(dataclasses.replace(spec, layers=(kit.layer, layer)))
    assert outcome.output.split() == ["5:6", "5:6", "5:6"]


def test_the_next_command_is_told_what_an_earlier_one_recorded(kit: Kit) -> None:
    spec, _ = build(kit, "touch f; ln -s f l; chown 1:2 f; chown -h 3:4 l")
    outcome = kit.launch(dataclasses.replace(spec, argv=("stat", "-c", "%u:%g", "/srv/f", "/srv/l")))
    assert outcome.output.split() == ["1:2", "3:4"]


@pytest.mark.skipif(not shutil.which("useradd"), reason="this machine has no useradd")
def test_password_files_keep_their_group_when_users_are_added(kit: Kit) -> None:
    layer = kit.new_folder("accounts")
    os.makedirs(f"{layer}/etc", exist_ok=True)
    for name, text, mode in (
        ("passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644), ("group", "root:x:0:\nshadow:x:42:\n", 0o644),
        ("shadow", "root:*:20000:0:99999:7:::\n", 0o640), ("gshadow", "root:*::\nshadow:*::\n", 0o640),
    ):  # fmt: skip
        Path(layer, "etc", name).write_text(text)
        os.chmod(f"{layer}/etc/{name}", mode)
    kit.own_tree(layer)
    for name in ("shadow", "gshadow"):
        os.setxattr(f"{layer}/etc/{name}", "user.envbox.owner", b"0:42")
    script = "groupadd -g 77 new && useradd -u 77 -g 77 -M new && usermod -c changed new; cat /etc/passwd"
    outcome = kit.launch(spec := dataclasses.replace(kit.fake_root("bash", "-c", script), layers=(kit.layer, layer)))
    assert "new:x:77:77:changed:" in outcome.output, outcome.errors
    expected = {f"etc/{name}": "0:42" for name in ("shadow", "shadow-", "gshadow", "gshadow-")}
    assert owners(spec) == expected
    assert os.stat(f"{spec.upper}/etc/shadow").st_mode & 0o7777 == 0o640


def test_the_stack_that_programs_may_have_is_the_usual_one_everywhere(kit: Kit) -> None:
    _, outcome = build(
        kit, "ulimit -s; stat -c '' .; ulimit -s; sh -c 'ulimit -s'; mkdir d; (ulimit -s 4096; sh -c 'ulimit -s')"
    )
    assert outcome.output.split() == ["8192", "8192", "8192", "4096"]


def where_libraries_are(text: str) -> set[int]:
    return {int(line.split("-")[0], 16) for line in text.splitlines() if ".so" in line}


def test_only_programs_that_may_care_are_watched(kit: Kit) -> None:
    border = Watch().first_unwatched
    if not border:
        pytest.skip("the stack of this machine's programs is limited: all are watched")
    _, outcome = build(kit, "cat /proc/self/maps; cp /proc/self/maps m; cat m; sed '' /proc/self/maps")
    assert min(where_libraries_are(outcome.output)) >= border
    for script in (
        "cp -a /proc/self/maps m; cat m",
        "touch m; sed -ri 'r /proc/self/maps' m; exec bash -c 'echo \"$(</proc/self/maps)\"'",
    ):
        _, outcome = build(kit, script)
        assert 0 < max(where_libraries_are(outcome.output)) < border


def test_where_the_stack_cannot_be_raised_every_program_is_watched(kit: Kit) -> None:
    spec = kit.fake_root("bash", "-c", f"cd /srv; {OWNED} stat -c %u:%g f; cat f; ulimit -s; ulimit -Hs")
    few = 64 << 20
    outcome = kit.launch(spec, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (few, few)))
    assert outcome.failure is None
    assert outcome.output.split() == ["1:2", "x", "8192", "65536"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("chown 1:2 f; chmod 4755 f; stat -c %a:%u:%g f", "4755:1:2"),
        ("chown 1:2 f; chmod 2755 f; stat -c %a:%u:%g f", "2755:1:2"),
        ("chown 1:2 f; chmod 6711 f; cp -p f g; stat -c %a:%u:%g g", "6711:1:2"),
        ("install -o 1 -g 2 -m 2755 f g; stat -c %a:%u:%g g", "2755:1:2"),
        ("mkdir d; chown 1:2 d; chmod 3775 d; stat -c %a:%u:%g d", "3775:1:2"),
        ("chown 1:2 f; chmod 6755 f; tar -cf t f; rm f; tar -xpf t; stat -c %a:%u:%g f", "6755:1:2"),
    ],
)
def test_set_id_bits_given_after_the_owner_stay(kit: Kit, script: str, expected: str) -> None:
    _, outcome = build(kit, f"touch f; {script}")
    assert outcome.output.split() == [expected], outcome.errors


PORTABLE = "0100000200040000000000000000000000000000"  # cap_net_bind_service+ep, as a host's root sets it
CAPABLE = f"""
import os
os.chdir('/srv')
for name in 'abc': open(name, 'w').close(); os.chmod(name, 0o755)
os.chown('b', 1, 2)
for name in 'abc': os.setxattr(name, 'security.capability', bytes.fromhex('{PORTABLE}'))
assert os.getxattr('a', 'security.capability').hex() == '{PORTABLE}'
os.chown('c', 0, 0)
"""


def test_capabilities_are_the_same_whoever_builds_and_a_chown_takes_them(kit: Kit) -> None:
    spec, outcome = python(kit, CAPABLE)
    assert (outcome.status, outcome.errors) == (0, "")
    found = {entry.path: entry for entry in manifest.scan(spec.upper, {})}
    capability = (("security.capability", PORTABLE),)
    assert [found[f"srv/{name}"].xattrs for name in "abc"] == [capability, capability, ()]
    assert (found["srv/b"].uid, found["srv/b"].gid) == (1, 2)
