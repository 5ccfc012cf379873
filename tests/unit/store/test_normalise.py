import fnmatch
import hashlib
import os
import struct
import time

import pytest

from envbox.store.normalise import Times, normalise
from envbox.store.normalise_table import ROWS

EPOCH = 1_000_000_000
DATED = "etc/ssl/certs/java/cacerts"


def settle(tree, started=None, rows=ROWS):
    return normalise(str(tree), {}, Times(EPOCH, time.time() if started is None else started), rows)


def key_store(made):
    body = struct.pack(">IIIIH", 0xFEEDFEED, 2, 1, 2, 1) + b"a" + struct.pack(">qH", made, 5) + b"X.509"
    body += struct.pack(">I", 3) + b"der"
    return body + hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()


def make(tree, path, content=b"x"):
    full = tree / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_bytes(content)
    return full


# What a real build leaves behind, row by row. None: it must be gone.
LEFT = {
    "var/cache/ldconfig/aux-cache": None,
    "var/log/dpkg.log": None,
    "var/log/alternatives.log": None,
    "var/log/bootstrap.log": None,
    "var/log/apt/history.log": None,
    "var/log/apt/term.log": None,
    "var/log/apt/eipp.log.xz": None,
    "var/log/fontconfig.log": None,
    "var/lib/dpkg/status-old": None,
    "var/lib/dpkg/diversions-old": None,
    "var/lib/dpkg/lock": None,
    "var/lib/dpkg/lock-frontend": None,
    "var/lib/dpkg/triggers/Lock": None,
    "var/lib/dpkg/updates/0001": None,
    "var/cache/debconf/config.dat-old": None,
    "etc/passwd-": None,
    "etc/group-": None,
    "etc/shadow-": None,
    "etc/gshadow-": None,
    "etc/subuid-": None,
    "etc/subgid-": None,
    "etc/.pwd.lock": None,
    "var/cache/apt/pkgcache.bin": None,
    "var/cache/apt/srcpkgcache.bin": None,
    "var/cache/apt/archives/jq_1.7_amd64.deb": None,
    "var/lib/apt/lists/deb.debian.org_debian_dists_trixie_InRelease": None,
    "var/lib/dbus/machine-id": None,
    "etc/ssh/ssh_host_ed25519_key": None,
    "etc/ssh/ssh_host_ed25519_key.pub": None,
    "etc/ssl/private/ssl-cert-snakeoil.key": None,
    "etc/ssl/certs/ssl-cert-snakeoil.pem": None,
    "etc/ssl/certs/0123abcd.0 -> ssl-cert-snakeoil.pem": None,
    "etc/nvme/hostid": None,
    "etc/bind/rndc.key": None,
    "etc/munge/munge.key": None,
    "etc/iscsi/initiatorname.iscsi": None,
    "etc/nvme/hostnqn": None,
    "var/lib/mysql/ib_logfile0": None,
    "var/lib/postgresql/17": None,
    "etc/postgresql/17": None,
    "var/log/postgresql/postgresql-17-main.log": None,
    "etc/ldap/slapd.d": None,
    "var/lib/ldap/data.mdb": None,
    "etc/firebird/3.0/SYSDBA.password": None,
    "var/lib/firebird/3.0/system/security3.fdb": None,
    "usr/lib/jvm/java-11-openjdk-amd64/lib/server/classes.jsa": None,
    "etc/apt/trustdb.gpg": None,
    "var/lib/systemd/random-seed": None,
    "var/lib/systemd/credential.secret": None,
    "var/lib/systemd/catalog/database": None,
    "etc/console-setup/cached_setup_keyboard.sh": None,
    "usr/share/info/dir.old": None,
    "var/lib/sgml-base/supercatalog.old": None,
    "etc/.git": None,
    "etc/.etckeeper": None,
    "usr/share/emacs/site-lisp/elpa/magit-4.3.5/Install.log.gz": None,
    "var/lib/texmf/web2c/pdftex/latex.log": None,
    "var/lib/texmf/web2c/updmap.log": None,
    "var/lib/texmf/web2c/luahbtex/lualatex.fmt": None,
    "var/lib/texmf/web2c/tex/tex.fmt": None,
    "run/utmp": None,
    "tmp/.X0-lock": None,
    "root/.cache": None,
    "etc/machine-id": b"",
    "var/lib/dpkg/triggers/Unincorp": b"",
}


def plant(tree, what):
    path, _, target = what.partition(" -> ")
    if not target:
        return make(tree, path)
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).symlink_to(target)
    return tree / path


@pytest.mark.parametrize(("what", "content"), LEFT.items())
def test_what_a_build_leaves_behind_is_settled_and_would_not_be_without_its_row(tmp_path, what, content):
    path = what.partition(" -> ")[0]
    others = [row for row in ROWS if not fnmatch.fnmatchcase(path, row.pattern)]
    for name, rows in (("with", ROWS), ("without", others)):
        planted = plant(tmp_path / name, what)
        beside = make(tmp_path / name, os.path.join(os.path.dirname(planted) + "-kept", "beside"))
        settle(tmp_path / name, rows=rows)
        assert beside.exists()
        if name == "without":
            assert os.path.lexists(planted)
            assert planted.is_symlink() or planted.read_bytes() == b"x"
        elif content is None:
            assert not os.path.lexists(planted)
        else:
            assert planted.read_bytes() == content


UNSORTED = {
    "etc/gitconfig": (
        b'[filter "lfs"]\n\tb = 1\n\ta = 2\n[core]\n\td = 4\n\tc = 3\n',
        b'[filter "lfs"]\n\ta = 2\n\tb = 1\n[core]\n\td = 4\n\tc = 3\n',
    ),
    "var/lib/texmf/updmap.cfg-DEBIAN": (
        b"### made\n# by\n###\nMap b\n# c\nMap a\n",
        b"### made\n# by\n###\n# c\nMap a\nMap b\n",
    ),
    "var/lib/texmf/fmtutil.cnf-TEXLIVEDIST": (b"###\n###\nb x\n#! c\na x\n", b"###\n###\n#! c\na x\nb x\n"),
    "var/lib/texmf/ls-R": (b"% head\n\n./b:\nz\ny\n\n./:\n.:\nb\na\n", b"% head\n\n./:\n.:\na\nb\n\n./b:\ny\nz\n"),
}


@pytest.mark.parametrize("path", UNSORTED)
def test_lists_are_in_the_order_of_names(tmp_path, path):
    before, after = UNSORTED[path]
    list_ = make(tmp_path, path, before)
    settle(tmp_path)
    assert list_.read_bytes() == after


def test_every_row_is_tested():
    paths = [*(what.partition(" -> ")[0] for what in LEFT), *UNSORTED, DATED]
    idle = [row.pattern for row in ROWS if not any(fnmatch.fnmatchcase(path, row.pattern) for path in paths)]
    assert idle == []


def test_certificates_of_java_were_added_at_the_epoch(tmp_path):
    store = make(tmp_path, DATED, key_store(made=1_700_000_000_123))
    store.chmod(0o444)
    settle(tmp_path)
    assert store.read_bytes() == key_store(made=EPOCH * 1000)
    assert store.stat().st_mode & 0o777 == 0o444


def test_only_the_link_to_the_snakeoil_certificate_goes(tmp_path):
    (tmp_path / "etc/ssl/certs").mkdir(parents=True)
    (tmp_path / "etc/ssl/certs/4567abcd.0").symlink_to("real.pem")
    settle(tmp_path)
    assert os.listdir(tmp_path / "etc/ssl/certs") == ["4567abcd.0"]


def test_no_time_is_after_the_epoch_and_older_ones_stay(tmp_path):
    old, new = make(tmp_path, "old"), make(tmp_path, "new")
    os.utime(old, (5, 5))
    entries = {e.path: e for e in settle(tmp_path, time.time() - 10)}
    assert entries["old"].mtime == 5
    assert entries["new"].mtime == EPOCH == int(new.stat().st_mtime)


def test_a_host_whose_clock_is_behind_gives_the_same_times(tmp_path):
    make(tmp_path, "file")
    os.utime(tmp_path / "file", (2000, 2000))
    entries = {e.path: e for e in settle(tmp_path, 1500)}
    assert entries["file"].mtime == EPOCH


def test_a_link_never_leads_the_table_out_of_the_tree(tmp_path):
    outside = make(tmp_path, "outside/dpkg.log")
    (tmp_path / "tree/var").mkdir(parents=True)
    (tmp_path / "tree/var/log").symlink_to(tmp_path / "outside")
    settle(tmp_path / "tree")
    assert outside.exists()


def test_overlay_attributes_are_gone_but_for_opaqueness(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    os.setxattr(folder, "user.overlay.opaque", b"y")
    os.setxattr(folder, "user.overlay.impure", b"y")
    entries = {e.path: e for e in settle(tmp_path)}
    assert entries["d"].kind == "opaque"
    assert os.listxattr(folder) == ["user.overlay.opaque"]


def test_rows_are_unique_and_have_reasons():
    rows = [(row.pattern, row.link) for row in ROWS]
    assert len(rows) == len(set(rows))
    assert all(row.reason for row in ROWS)


def test_neither_a_key_store_nor_a_certificate_folder_leads_out_of_the_tree(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "link").symlink_to("ssl-cert-snakeoil.pem")
    (outside / "cacerts").write_bytes(b"keep")
    tree = tmp_path / "tree"
    (tree / "etc/ssl").mkdir(parents=True)
    (tree / "etc/ssl/certs").symlink_to(outside)
    settle(tree)
    assert os.path.islink(outside / "link")
    os.unlink(tree / "etc/ssl/certs")
    (tree / "etc/ssl/certs/java").mkdir(parents=True)
    (tree / "etc/ssl/certs/java/cacerts").symlink_to(outside / "cacerts")
    settle(tree)
    assert (outside / "cacerts").read_bytes() == b"keep"
