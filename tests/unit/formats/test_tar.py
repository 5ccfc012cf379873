from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbox.errors import ArtifactHostile
from envbox.formats import tar

EMPTY = memoryview(b"")

components = (
    st.binary(min_size=1, max_size=60)
    .map(lambda raw: raw.replace(b"\0", b"0").replace(b"/", b"-"))
    .filter(lambda raw: raw not in {b".", b".."})
    .map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
plain_components = st.text("abcXYZ019._-+~ ", min_size=1, max_size=40).filter(lambda text: text not in {".", ".."})
paths = st.lists(components | plain_components, min_size=1, max_size=6).map("/".join)
xattrs = st.dictionaries(
    st.text("abc.%=3D25é", min_size=1, max_size=12).map(lambda name: f"user.{name}"),
    st.binary(max_size=40),
    max_size=3,
).map(lambda mapping: tuple(sorted(mapping.items())))


@st.composite
def members(draw) -> tar.Member:
    kind = draw(st.sampled_from(["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]))
    target = {"symlink": paths.map(lambda path: f"../{path}"), "hardlink": paths}.get(kind, st.just(""))
    numbers = st.integers(0, 4095)
    return tar.Member(
        draw(paths),
        kind,
        draw(st.integers(0, 0o7777)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 3_000_000)),
        draw(st.integers(-(2**35), 2**35)),
        draw(target),
        memoryview(draw(st.binary(max_size=1200))) if kind == "file" else EMPTY,
        draw(xattrs),
        draw(st.tuples(numbers, numbers)) if kind in {"character", "block"} else (0, 0),
    )


def archive(*all_members: tar.Member) -> bytes:
    parts = [
        tar.pack(member, len(member.data)) + bytes(member.data) + tar.padding(len(member.data))
        for member in all_members
    ]
    return b"".join(parts) + tar.END


def member(path: str, kind: str = "file", content: bytes = b"", **changes) -> tar.Member:
    plain = tar.Member(path, kind, 0o644, 0, 0, 0, "", memoryview(content), (), (0, 0))
    return plain._replace(**changes)


@given(st.lists(members(), max_size=4))
def test_what_is_packed_reads_back_the_same(packed):
    assert list(tar.read(archive(*packed))) == packed


def test_the_root_is_an_empty_path():
    root = member("", "directory", mode=0o755)
    assert list(tar.read(archive(root))) == [root]
    assert archive(root).startswith(b"./\0")


@given(st.lists(members(), max_size=4))
def test_the_standard_library_reads_what_is_packed(packed):
    flags = {
        "file": tarfile.REGTYPE,
        "directory": tarfile.DIRTYPE,
        "symlink": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
        "character": tarfile.CHRTYPE,
        "block": tarfile.BLKTYPE,
        "fifo": tarfile.FIFOTYPE,
    }
    with tarfile.open(fileobj=io.BytesIO(archive(*packed)), encoding="utf-8", errors="surrogateescape") as opened:
        read = opened.getmembers()
        for ours, theirs in zip(packed, read, strict=True):
            assert theirs.name == ours.path
            assert theirs.type == flags[ours.kind]
            assert (theirs.mode, theirs.uid, theirs.gid, theirs.mtime) == (
                ours.mode,
                ours.uid,
                ours.gid,
                ours.mtime,
            )
            assert theirs.linkname == ours.target
            assert (theirs.uname, theirs.gname) == ("", "")
            assert (theirs.devmajor, theirs.devminor) == ours.device
            assert theirs.size == len(ours.data)
            if ours.kind == "file":
                assert opened.extractfile(theirs).read() == ours.data
            for name, value in ours.xattrs:
                escaped = name.replace("%", "%25").replace("=", "%3D")
                assert theirs.pax_headers[f"SCHILY.xattr.{escaped}"].encode("utf-8", "surrogateescape") == value


TREE = (
    member("", "directory", mode=0o755),
    member("deep", "directory", mode=0o2755, mtime=1_600_000_000),
    member("deep/" + "d" * 90, "directory", mode=0o755),
    member("deep/" + "d" * 90 + "/file", content=b"long\n" * 300, mtime=1_700_000_000, mode=0o4755),
    member("deep/first", content=b"first", mtime=1_700_000_000),
    member("deep/link", "symlink", target="x" * 150, mode=0o777),
    member("deep/second", "hardlink", target="deep/first", mtime=1_700_000_000),
    member("pipe", "fifo"),
    member("ünïcödé", content=b"\0" * 512),
)


@pytest.fixture
def needs_gnu_tar():
    if (
        not shutil.which("tar")
        or b"GNU" not in subprocess.run(["tar", "--version"], capture_output=True, check=True).stdout
    ):
        pytest.skip("GNU tar is not installed")


def test_gnu_tar_extracts_what_is_packed(tmp_path, needs_gnu_tar):
    ours = ["--same-permissions", "--no-same-owner", "--directory", str(tmp_path)]
    done = subprocess.run(["tar", "--extract", *ours], input=archive(*TREE), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    for entry in TREE:
        path = tmp_path / entry.path
        status = path.lstat()
        if entry.kind == "symlink":
            assert os.readlink(path) == entry.target
            continue
        assert status.st_mode & 0o7777 == entry.mode
        if entry.kind == "file":
            assert path.read_bytes() == entry.data
            assert status.st_mtime == entry.mtime
    assert (tmp_path / "deep/first").samefile(tmp_path / "deep/second")


def test_gnu_tar_reads_owners_and_attributes_that_need_a_pax_header(needs_gnu_tar):
    entry = member("file", uid=3_000_000_000, gid=2_097_152, xattrs=(("user.one", b"\0\xff\n"), ("user.two", b"2")))
    done = subprocess.run(
        ["tar", "--list", "-vv", "--xattrs", "--numeric-owner"],
        input=archive(entry),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"3000000000/2097152" in done.stdout
    assert b"3 user.one" in done.stdout


@pytest.mark.parametrize("form", ["v7", "ustar", "gnu", "oldgnu", "pax"])
def test_archives_of_gnu_tar_read_as_the_tree_they_are_made_of(tmp_path, needs_gnu_tar, form):
    deep = "x" if form == "v7" else "long-" * 16
    (tmp_path / deep / ("y" if form == "v7" else "name" * 15)).mkdir(parents=True)
    (tmp_path / deep / "file").write_bytes(b"content" * 200)
    os.link(tmp_path / deep / "file", tmp_path / deep / "hard")
    (tmp_path / "symbolic").symlink_to("/anywhere/../else" + ("" if form in {"v7", "ustar"} else "/" * 120))
    (tmp_path / "empty").write_bytes(b"")
    os.utime(tmp_path / "empty", (1_234_567_890.75, 1_234_567_890.75))
    command = ["tar", "--create", f"--format={form}", "--sort=name", "--directory", str(tmp_path), "."]
    found = list(tar.read(subprocess.run(command, capture_output=True, check=True).stdout))
    assert {entry.path for entry in found} == {
        "" if folder == tmp_path else str(folder.relative_to(tmp_path)) for folder in [tmp_path, *tmp_path.rglob("*")]
    }
    by_path = {entry.path: entry for entry in found}
    for path, entry in by_path.items():
        status = (tmp_path / path).lstat()
        assert (entry.mode, entry.uid, entry.gid) == (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        assert entry.mtime == int(status.st_mtime)
    assert by_path[f"{deep}/file"].data == b"content" * 200
    assert (by_path[f"{deep}/hard"].kind, by_path[f"{deep}/hard"].target) == ("hardlink", f"{deep}/file")
    assert by_path["symbolic"].target == os.readlink(tmp_path / "symbolic")


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@given(uid=st.integers(0, 2**32 - 1), mtime=st.integers(-(2**38), 2**38), path=paths)
@settings(max_examples=60)
def test_archives_of_the_standard_library_read_with_any_numbers_and_names(form, uid, mtime, path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as opened:
        info = tarfile.TarInfo(path)
        info.uid, info.mtime, info.size = uid, mtime, 3
        opened.addfile(info, io.BytesIO(b"abc"))
    [entry] = tar.read(stream.getvalue())
    # tarfile itself writes no surrogate escapes into pax headers.
    if form == tarfile.GNU_FORMAT or path.isprintable():
        assert entry.path == path
    assert (entry.uid, entry.mtime, entry.data) == (uid, mtime, b"abc")


def test_a_global_pax_header_holds_until_the_end_and_a_members_own_wins():
    stream = io.BytesIO()
    shared = {"comment": "a commit", "SCHILY.xattr.user.all": "yes", "mtime": "77.5"}
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, pax_headers=shared) as opened:
        opened.addfile(tarfile.TarInfo("one"))
        info = tarfile.TarInfo("two")
        info.pax_headers = {"mtime": "88.25"}
        opened.addfile(info)
    one, two = tar.read(stream.getvalue())
    assert (one.mtime, two.mtime) == (77, 88)
    assert one.xattrs == two.xattrs == (("user.all", b"yes"),)


def test_paths_are_normalised():
    entries = tar.read(archive(member(".//usr/./bin//tool"), member("./a/.hidden"), member("./dir/.", "directory")))
    assert [entry.path for entry in entries] == ["usr/bin/tool", "a/.hidden", "dir"]


@pytest.mark.parametrize(
    "path", ["../escape", "a/../../escape", "..", "a/..", "/etc/passwd", "//etc/passwd", "./../x", "x/../y"]
)
def test_a_path_that_leads_outside_is_refused_and_named(path):
    for hostile in (member(path), member(path + "/" + "x" * 100), member(path, "directory")):
        with pytest.raises(ArtifactHostile, match=path.replace(".", r"\.")):
            list(tar.read(archive(hostile)))


@pytest.mark.parametrize("target", ["../escape", "/etc/passwd", "a/../../b", ""])
def test_a_hard_link_that_leads_outside_is_refused(target):
    with pytest.raises(ArtifactHostile, match="link-here"):
        list(tar.read(archive(member("link-here", "hardlink", target=target))))


def test_where_a_symbolic_link_leads_is_kept_as_it_is():
    [entry] = tar.read(archive(member("link", "symlink", target="../../etc/passwd/")))
    assert entry.target == "../../etc/passwd/"


def test_a_nul_in_a_long_path_is_refused():
    with pytest.raises(ArtifactHostile, match="NUL"):
        list(tar.read(archive(member("a\0b" + "x" * 100))))


def test_a_file_or_symbolic_link_of_no_name_or_target_is_refused():
    for hostile in (member(""), member("./."), member("link", "symlink")):
        with pytest.raises(ArtifactHostile):
            list(tar.read(archive(hostile)))


def test_an_archive_cut_short_anywhere_is_refused():
    whole = archive(*TREE)
    for length in range(0, len(whole) - 1024, 97):
        with pytest.raises(ArtifactHostile):
            list(tar.read(whole[:length]))


def test_an_archive_cut_inside_a_file_names_it():
    with pytest.raises(ArtifactHostile, match=r"some/file.*cut short"):
        list(tar.read(archive(member("some/file", content=bytes(2000)))[:1500]))


@given(st.integers(0, 511), st.integers(1, 255))
def test_a_changed_byte_in_a_header_is_noticed(offset, change):
    whole = bytearray(archive(member("file", content=b"abc")))
    whole[offset] ^= change
    # The field of the checksum may be spelled in several ways, and still has to be right.
    try:
        entries = list(tar.read(whole))
    except ArtifactHostile:
        return
    assert 148 <= offset < 156
    assert entries == [member("file", content=b"abc")]


@pytest.mark.parametrize("flag", [b"S", b"M", b"V", b"D", b"N", b"9"])
def test_kinds_that_no_package_has_are_refused(flag):
    header = bytearray(tar.pack(member("odd-one"), 0))
    header[156:157] = flag
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    with pytest.raises(ArtifactHostile, match="odd-one"):
        list(tar.read(bytes(header) + tar.END))


def pax(records: bytes) -> bytes:
    header = bytearray(tar.pack(member("pax"), len(records)))
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return bytes(header) + records + tar.padding(len(records)) + archive(member("next"))


@pytest.mark.parametrize(
    "records",
    [
        b"7 a=bc\nx",
        b"99 path=x\n",
        b"10 path=x\n\n",
        b"-7 a=bc\n",
        b"0 a=b\n",
        b"5 ab\n",
        b"9 uid=-1\n",
        b"9 uid=1_\n",
        b"24 uid=99999999999999\n"[:23],
        b"12 mtime=\xd9\xa3\n",
        b"23 GNU.sparse.major=1\n",
        b"13 path=../x\n",
    ],
)
def test_malformed_pax_records_are_refused(records):
    with pytest.raises(ArtifactHostile):
        list(tar.read(pax(records)))


def test_an_extension_at_the_end_belongs_to_nothing_and_is_refused():
    with pytest.raises(ArtifactHostile):
        list(tar.read(pax(b"8 uid=12\n"[:8] + b"\n")[:1024] + tar.END))


@pytest.mark.timeout(5)
@pytest.mark.parametrize("flag", [b"0", b"L", b"x", b"g"])
def test_a_negative_size_is_refused_and_not_walked_back_over(flag):
    header = bytearray(tar.pack(member("back"), 0))
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512 in base 256
    header[156:157] = flag
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    with pytest.raises(ArtifactHostile):
        list(tar.read(bytes(header) + tar.END))


@given(st.binary(max_size=2048))
def test_random_bytes_are_refused(data):
    if data[:512] != bytes(512) or len(data) < 512:
        with pytest.raises(ArtifactHostile):
            list(tar.read(data))


@given(st.integers(0, 8191), st.binary(min_size=1, max_size=40))
def test_a_damaged_archive_is_read_or_refused(offset, junk):
    whole = bytearray(archive(*TREE))
    whole[offset : offset + len(junk)] = junk
    with contextlib.suppress(ArtifactHostile):
        list(tar.read(whole))


def test_the_canonical_form_stays_what_digests_were_made_of():
    big = member("big", uid=2_097_152, mtime=-1, mode=0o7777, xattrs=(("user.b", b"\xff"), ("user.a", b"=\n")))
    device = member("null", "character", mode=0o666, device=(1, 3))
    whole = archive(*TREE, big, device) + tar.pack(member("huge"), 8 * 2**30)
    assert hashlib.sha256(whole).hexdigest() == "cdde65dd6afcf1f862b8ce1725c087695e1832ead816a1bc03f65a6213528d79"


def test_a_pax_header_is_written_only_where_it_is_needed():
    small = member("p" * 100, uid=2_097_151, gid=2_097_151, mtime=8**11 - 1)
    assert len(tar.pack(small, 8**11 - 1)) == 512
    for change in (
        {"path": "p" * 101},
        {"path": "é"},
        {"uid": 2_097_152},
        {"gid": 2_097_152},
        {"mtime": 8**11},
    ):
        assert len(tar.pack(small._replace(**change), 0)) == 1536
    assert len(tar.pack(small, 8**11)) == 1536
