import io
import os
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.sandbox.owners import ATTRIBUTE as OWNER_ATTRIBUTE
from envbox.store import manifest
from envbox.store.manifest import Entry

ENTRIES = st.builds(
    Entry,
    st.text(st.characters(exclude_characters="\0"), min_size=1).map(lambda text: text.replace("/", "_")),
    st.sampled_from(["file", "directory", "symlink", "whiteout"]),
    st.integers(0, 0o7777),
    st.integers(0, 2**31),
    st.integers(0, 2**31),
    st.integers(0, 2**33),
    st.integers(0, 2**40),
    st.just("ab" * 32),
    st.text(),
    st.just((("security.capability", "00ff"),)),
)


@given(st.lists(ENTRIES))
def test_a_manifest_survives_its_text(entries):
    assert manifest.loads(manifest.dumps(entries)) == entries


@given(st.binary(min_size=1, max_size=20).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_names_that_are_no_text_survive(name):
    entry = Entry(os.fsdecode(name), "file", 0o644, 0, 0, 0)
    assert manifest.loads(manifest.dumps([entry])) == [entry]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "b").write_bytes(b"hello")
    os.link(root / "etc" / "b", root / "etc" / "a")
    (root / "empty").write_bytes(b"")
    (root / "big").write_bytes(bytes(range(256)) * 9000)
    (root / "link").symlink_to("/etc/b")
    os.mkfifo(root / "fifo")
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1000, 1000), follow_symlinks=False)
    return root


def scanned(tree, owners=None):
    return manifest.measure(str(tree), list(manifest.scan(str(tree), owners or {})))


def test_the_digest_is_that_of_a_tar_that_others_read(tree, tmp_path):
    entries, digest = scanned(tree)
    data = canonical_tar(tree, entries)
    import hashlib

    assert digest.hex == hashlib.sha256(data).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
        assert archive.extractfile("etc/a").read() == b"hello"
        assert archive.getmember("etc/b").islnk()
    assert names == sorted(names)
    (tmp_path / "x.tar").write_bytes(data)
    listing = subprocess.run(["tar", "-tf", tmp_path / "x.tar"], capture_output=True, check=True).stdout.decode()
    assert "etc/a" in listing


def canonical_tar(tree, entries):
    from envbox.formats import tar

    parts = []
    for entry in entries:
        parts.append(tar.pack(manifest._member(entry), entry.size if entry.kind == "file" else 0))
        if entry.kind == "file":
            content = (tree / entry.path).read_bytes()
            parts += [content, tar.padding(len(content))]
    return b"".join([*parts, tar.END])


def test_disk_accidents_do_not_change_the_digest(tree, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", tree, copy], check=True)
    assert scanned(tree) == scanned(copy)


@pytest.mark.parametrize("change", ["content", "mode", "time", "owner", "name"])
def test_everything_that_counts_changes_the_digest(tree, change):
    before = scanned(tree)[1]
    path = tree / "empty"
    if change == "content":
        path.write_bytes(b"x")
        os.utime(path, (1000, 1000))
    elif change == "mode":
        path.chmod(0o600)
    elif change == "time":
        os.utime(path, (1001, 1001))
    elif change == "name":
        path.rename(tree / "empti")
        os.utime(tree, (1000, 1000))
    owners = {"link": (1, 2)} if change == "owner" else {}
    assert scanned(tree, owners)[1] != before


def test_recorded_owners_are_those_of_the_manifest(tree):
    os.setxattr(tree / "empty", OWNER_ATTRIBUTE, b"104:42")
    owners = {entry.path: (entry.uid, entry.gid) for entry in scanned(tree, {"link": (7, 8)})[0]}
    assert owners["empty"] == (104, 42)
    assert owners["link"] == (7, 8)
    assert owners["big"] == (0, 0)


def test_the_first_name_in_order_is_the_file_whichever_the_artifact_had(tree):
    entries = list(manifest.scan(str(tree), {}))
    turned = [
        e._replace(
            path={"etc/a": "etc/b", "etc/b": "etc/a"}.get(e.path, e.path),
            target="etc/b" if e.target == "etc/a" else e.target,
        )
        for e in entries
    ]
    assert {e.kind for e in turned if e.path == "etc/a"} == {"hardlink"}
    assert manifest.measure(str(tree), turned) == manifest.measure(str(tree), entries)


def test_a_capability_of_a_namespace_becomes_the_portable_one():
    version_3 = bytes.fromhex("0100000300200000000000000000000000000000e8030000")
    version_2 = bytes.fromhex("0100000200200000000000000000000000000000")
    assert manifest._portable_capability(version_3) == version_2
    assert manifest._portable_capability(version_2) == version_2


@pytest.mark.parametrize("change", ["longer", "shorter", "pipe"])
def test_a_file_of_another_size_than_its_entry_says_gives_no_digest(tree, change):
    entries = scanned(tree)[0]
    path = tree / "big"
    if change == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        os.truncate(path, path.stat().st_size + (1 if change == "longer" else -1))
    with pytest.raises(manifest.OtherContent, match="/big "):
        manifest.measure(str(tree), entries)


def test_names_that_stand_for_whiteouts_are_known():
    assert manifest.is_reserved("a/.wh.b")
    assert manifest.is_reserved(".wh..wh..opq")
    assert not manifest.is_reserved(".wh.a/b.wh.")


def test_whiteouts_and_opaque_folders_become_what_oci_calls_them():
    whiteout = manifest._member(Entry("etc/x", "whiteout", 0o644, 0, 0, 0))
    assert (whiteout.path, whiteout.kind) == ("etc/.wh.x", "file")
    assert manifest._opaque_marker(Entry("etc", "opaque", 0o755, 0, 0, 0)).path == "etc/.wh..wh..opq"
