from __future__ import annotations

import io
import lzma
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.errors import ArtifactHostile, EnvboxError
from envbox.formats import deb

CONTROL = """\
Package: sample
Version: 1:2.0~rc1-3
Architecture: all
Maintainer: Some One <one@example.org>
Description: a sample
 with a long text
 .
 in two paragraphs
"""
CONFFILES = "/etc/sample.conf\nremove-on-upgrade /etc/old.conf\n"
TRIGGERS = """\
# what this package waits for
interest-noawait /usr/share/man   # manual pages
activate ldconfig
\tinterest  sample-trigger\t
"""
needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")


def archive(files: dict[str, str | bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as opened:
        for name, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(raw)
            opened.addfile(info, io.BytesIO(raw))
    return stream.getvalue()


def ar(members: dict[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        parts.append(content + b"\n" * (len(content) % 2))
    return b"".join(parts)


def package(control: dict[str, str | bytes], data: bytes | None = None) -> bytes:
    files = {"control": CONTROL} | control
    return ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar": archive({f"./{name}": content for name, content in files.items()}),
            "data.tar.xz": lzma.compress(archive({"./usr/file": b"content"}) if data is None else data),
        }
    )


@needs_dpkg
@pytest.mark.parametrize("compression", ["xz", "gzip", "none", "zstd"])
def test_a_package_of_dpkg_is_read_whole(tmp_path, compression):
    root = tmp_path / "root"
    for folder in ("DEBIAN", "usr/share/sample", "etc"):
        (root / folder).mkdir(parents=True)
    (root / "DEBIAN/control").write_text(CONTROL)
    (root / "DEBIAN/conffiles").write_text("/etc/sample.conf\n")
    (root / "DEBIAN/triggers").write_text(TRIGGERS)
    (root / "DEBIAN/postinst").write_text("#!/bin/sh\n")
    (root / "DEBIAN/postinst").chmod(0o755)
    (root / "etc/sample.conf").write_text("a = 1\n")
    (root / "usr/share/sample/link").symlink_to("../other")
    long = root / "usr/share/sample" / ("long" * 40)
    long.write_text("long")
    built = subprocess.run(
        [
            "dpkg-deb",
            f"-Z{compression}",
            "--root-owner-group",
            "--build",
            str(root),
            str(tmp_path / "sample.deb"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode and compression == "zstd":
        pytest.skip("this dpkg-deb cannot write zstd")
    assert built.returncode == 0, built.stderr
    read = deb.read((tmp_path / "sample.deb").read_bytes(), "sample.deb")
    assert set(read.control) == {"control", "conffiles", "triggers", "postinst"}
    assert read.control["postinst"] == (0o755, b"#!/bin/sh\n")
    assert read.fields["Version"] == "1:2.0~rc1-3"
    members = {member.path: member for member in read.members()}
    assert members["etc/sample.conf"].data == b"a = 1\n"
    assert members["usr/share/sample/link"].target == "../other"
    assert f"usr/share/sample/{long.name}" in members
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}


def test_control_files_have_their_parsed_forms():
    read = deb.read(package({"conffiles": CONFFILES, "triggers": TRIGGERS}), "sample.deb")
    assert read.fields["Description"] == "a sample\n with a long text\n .\n in two paragraphs"
    assert read.conffiles == (
        deb.Conffile("/etc/sample.conf"),
        deb.Conffile("/etc/old.conf", remove_on_upgrade=True),
    )
    assert read.triggers == (
        ("interest-noawait", "/usr/share/man"),
        ("activate", "ldconfig"),
        ("interest", "sample-trigger"),
    )


def test_a_package_without_conffiles_and_triggers_has_none():
    read = deb.read(package({}), "sample.deb")
    assert (read.conffiles, read.triggers) == ((), ())


@pytest.mark.parametrize(
    "control",
    [
        CONTROL.replace("Package: sample", "Package: ../../etc"),
        CONTROL.replace("Package: sample\n", ""),
        CONTROL.replace("1:2.0~rc1-3", "1/../2"),
        CONTROL.replace("Architecture: all", "Architecture: ../x"),
        CONTROL + "\nPackage: another\n",
        "",
    ],
)
def test_a_control_file_that_would_name_files_elsewhere_is_refused(control):
    with pytest.raises(ArtifactHostile, match=r"bad\.deb"):
        deb.read(package({"control": control}), "bad.deb")


@pytest.mark.parametrize("line", ["etc/relative", "/etc/../../root", "keep /etc/x", "remove-on-upgrade"])
def test_a_conffile_that_is_no_absolute_path_is_refused(line):
    with pytest.raises(ArtifactHostile, match=r"bad\.deb.*conffiles"):
        _ = deb.read(package({"conffiles": f"{line}\n"}), "bad.deb").conffiles


@pytest.mark.parametrize("line", ["interest", "interest a b", "await x"])
def test_a_trigger_that_is_no_directive_is_refused(line):
    with pytest.raises(ArtifactHostile, match=r"bad\.deb.*triggers"):
        _ = deb.read(package({"triggers": f"{line}\n"}), "bad.deb").triggers


def test_a_path_that_leads_outside_names_the_package_and_the_path():
    read = deb.read(package({}, archive({"../../etc/cron.d/evil": b"x"})), "bad.deb")
    with pytest.raises(ArtifactHostile, match=r"bad\.deb.*\.\./\.\./etc/cron\.d/evil"):
        list(read.members())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_control_files_are_plain_files(kind):
    members = {
        "debian-binary": b"2.0\n",
        "control.tar": archive({"control": b""}, kind),
        "data.tar": archive({}),
    }
    with pytest.raises(ArtifactHostile, match=r"bad\.deb"):
        deb.read(ar(members), "bad.deb")


@pytest.mark.parametrize("missing", ["debian-binary", "control.tar", "data.tar"])
def test_a_package_lacks_no_part(missing):
    members = {
        "debian-binary": b"2.0\n",
        "control.tar": archive({"control": CONTROL}),
        "data.tar": archive({}),
    }
    assert deb.read(ar(members), "good.deb").fields["Package"] == "sample"
    del members[missing]
    with pytest.raises(ArtifactHostile, match=r"bad\.deb"):
        deb.read(ar(members), "bad.deb")


def test_a_corrupt_part_names_the_package_and_says_what_to_do():
    whole = package({})
    with pytest.raises(ArtifactHostile, match=r"bad\.deb: data\.tar\.xz") as caught:
        deb.read(whole[:-60] + bytes(60), "bad.deb")
    assert caught.value.hint


@given(st.integers(0, 20_000), st.binary(min_size=1, max_size=20))
def test_a_damaged_package_is_read_or_refused(offset, junk):
    whole = bytearray(package({"conffiles": CONFFILES, "triggers": TRIGGERS}))
    offset %= len(whole)
    whole[offset : offset + len(junk)] = junk
    message = "bad.deb"
    try:
        read = deb.read(whole, "bad.deb")
        list(read.members())
        _ = (read.conffiles, read.triggers)
    except EnvboxError as error:
        message = error.message
    assert message.startswith("bad.deb")


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data):
    with pytest.raises(ArtifactHostile, match=r"bad\.deb"):
        deb.read(data, "bad.deb")
