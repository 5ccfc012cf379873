"""What is not as it was is found, told path by path, and made anew."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envbox.sandbox.owners import ATTRIBUTE
from tests.hermetic.kit import wait_for
from tests.support.debs import DebRecipe, File, HardLink, Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)
DATA = "usr/share/subject/data"
STATE = "var/lib/subject"
SCRIPT = f"#!/bin/sh\nset -e\nmkdir -p /{STATE}\ncd /{STATE}\nfor name in a b c d; do echo made >$name; chown games $name; done\n"


def subject() -> DebRecipe:
    files = {
        DATA: b"0123456789" * 100,
        "usr/share/subject/first": b"one file, two names\n",
        "usr/share/subject/second": HardLink("usr/share/subject/first"),
        "usr/bin/subject": File(b"#!/bin/sh\necho subject\n", 0o755),
        "usr/bin/alias": Link("subject"),
    }
    return DebRecipe("subject", files=files, scripts={"postinst": SCRIPT})


def trees(case: Case) -> tuple[Path, Path]:
    """Those of the package's own two layers."""
    group = case.read_lock().groups[1]
    assert group.unpacked
    assert group.configured
    folders = case.store / "layers-v1"
    return folders / group.unpacked.hex / "tree", folders / group.configured.hex / "tree"


def change_a_byte(path: Path) -> None:
    """And nothing else that can be seen."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(7)
        file.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@both
def test_one_changed_byte_is_refused_by_its_path_and_mended(case: Case) -> None:
    case.install(subject())
    digests = case.digests()
    assert "Verified 5 layers" in case.envbox("verify").output
    change_a_byte(trees(case)[0] / DATA)
    told = case.fails(
        "verify", code="EB-DAMAGED", status=3, parts=(f"/{DATA}: content", "hint: run `envbox verify --repair`")
    )
    assert "the package tree" in told, "its file is the same as the layer's"
    assert told.count(DATA) == 2
    repaired = case.envbox("verify", "--repair").output
    assert "envbox build" in repaired
    assert not trees(case)[0].exists()
    case.envbox("build")
    assert case.digests() == digests
    case.envbox("verify")
    assert case.run("cat", f"/{DATA}") == "0123456789" * 100
    case.verify()


def broken(path: Path) -> None:
    content = path.read_bytes()
    times = path.stat()
    path.unlink()
    path.write_bytes(content)
    path.chmod(times.st_mode & 0o7777)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def redirected(path: Path) -> None:
    times = path.lstat()
    path.unlink()
    path.symlink_to("sh")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)


CHANGES: list[tuple[int, str, Callable[[Path], object], str]] = [
    (0, "usr/bin/subject", lambda path: path.chmod(0o4755), "/usr/bin/subject: mode 4755, not 0755"),
    (0, "usr/share/subject", lambda path: path.chmod(0o777), "/usr/share/subject: mode 0777, not 0755"),
    (0, DATA, lambda path: os.utime(path, (1, 1)), f"/{DATA}: time"),
    (0, "usr/bin/alias", redirected, "/usr/bin/alias: leads to sh, not subject"),
    (0, "usr/share/subject/second", broken, "/usr/share/subject/second: a file, not a hardlink"),
    (1, f"{STATE}/a", lambda path: os.setxattr(path, ATTRIBUTE, b"7:7"), f"/{STATE}/a: owner 7:7, not 5:0"),
    (1, f"{STATE}/b", lambda path: os.removexattr(path, ATTRIBUTE), f"/{STATE}/b: owner 0:0, not 5:0"),
    (1, f"{STATE}/c", lambda path: path.unlink(), f"/{STATE}/c: missing"),
    (1, f"{STATE}/more", lambda path: path.write_text("x"), f"/{STATE}/more: new"),
    (1, f"{STATE}/d", lambda path: (path.unlink(), path.mkdir()), f"/{STATE}/d: a directory, not a file"),
]


@both
def test_every_kind_of_change_is_found_and_mended(case: Case) -> None:
    case.install(subject())
    for layer, path, change, _ in CHANGES:
        place = trees(case)[layer] / path
        change(place)
        case.person.own(place.parent)
    told = case.fails("verify", code="EB-DAMAGED", status=3)
    assert [line for *_, line in CHANGES if line not in told] == []
    case.envbox("verify", "--repair")
    case.envbox("build")
    case.envbox("verify")
    shutil.move(trees(case)[1], trees(case)[1].with_name("away"))
    case.fails("verify", code="EB-DAMAGED", status=3, parts=(f"/{STATE}/a: missing",))
    case.envbox("verify", "--repair")
    case.envbox("build")
    case.verify()


def test_a_manifest_that_does_not_give_the_digest_is_found(case: Case) -> None:
    """Tree and manifest agree: whoever changed one changed both."""
    case.install(subject())
    tree = trees(case)[1]
    (tree / STATE / "a").chmod(0o600)
    manifest = tree.parent / "manifest"
    lines = manifest.read_text().splitlines()
    changed = [line.replace(str(0o644), str(0o600)) if f"{STATE}/a" in line else line for line in lines]
    assert changed != lines
    manifest.write_text("\n".join(changed) + "\n")
    case.fails("verify", code="EB-DAMAGED", status=3, parts=("manifest: does not give the layer's digest",))
    manifest.write_text("nonsense")
    case.fails("verify", code="EB-DAMAGED", status=3, parts=("manifest: cannot be read",))


def test_the_layer_for_sessions_is_verified_too(case: Case) -> None:
    case.install(subject())
    spec = case.folder / "envbox.toml"
    case.write("envbox.toml", spec.read_text().replace('"demo"', '"own"'))  # for a layer that no other test has
    case.envbox("build")
    records = [json.loads(path.read_text()) for path in (case.store / "environments-v1").glob("*/record.json")]
    layer = next(Path(record["layers"][-1]) for record in records if record["name"] == "own")
    change_a_byte(layer / "etc/passwd")
    case.fails("verify", code="EB-DAMAGED", status=3, parts=("the layer for sessions", "/etc/passwd: content"))
    case.envbox("verify", "--repair")
    case.envbox("build")
    case.envbox("verify")


def test_all_of_a_store_is_verified_with_its_artifacts_and_told_for_programs(case: Case) -> None:
    case.install(subject())
    artifact = case.read_lock().groups[1].artifacts[0].digest.hex
    blob = case.store / "blobs/sha256" / artifact
    change_a_byte(blob)
    change_a_byte(trees(case)[0] / DATA)
    facts = json.loads(case.envbox("verify", "--all", "--json", status=3).output)
    assert [damage["kind"] for damage in facts["damaged"]] == ["artifact", "layer", "package tree"]
    assert facts["artifacts"] == len(os.listdir(case.store / "blobs/sha256"))
    assert {tuple(path) for damage in facts["damaged"][1:] for path in damage["paths"]} == {(DATA, "content")}
    removed = json.loads(case.envbox("verify", "--all", "--repair", "--json").output)["removed"]
    assert f"blobs/sha256/{artifact}" in removed
    case.envbox("build")
    case.envbox("verify", "--all")
    case.verify()


@both
def test_what_a_session_runs_on_is_not_removed_by_a_repair(case: Case) -> None:
    case.install(subject())
    change_a_byte(trees(case)[0] / DATA)
    with case.started(
        "run", "--", "sh", "-c", f"touch ready; until [ -e go ]; do sleep 0.02; done; cat /{DATA}"
    ) as process:
        wait_for((case.folder / "ready").exists)
        told = case.fails(
            "verify", "--repair", code="EB-DAMAGED", status=3, parts=("a session runs on what is damaged",)
        )
        assert f"process {process.pid}" in told
        assert trees(case)[0].exists()
        (case.folder / "go").touch()
        output = process.communicate()[0]
    assert output == b"0123456x89" + b"0123456789" * 99
    case.envbox("verify", "--repair")
    case.envbox("build")
    assert case.run("cat", f"/{DATA}") == "0123456789" * 100


def test_what_is_not_built_is_told(case: Case) -> None:
    case.install(subject())
    case.forget_layers()
    result = case.envbox("verify", status=1)
    assert "Not built: packages, unpacked. Run `envbox build`." in result.output
    case.lock.unlink()
    case.fails("verify", code="EB-LOCK", status=1, parts=("hint: Run `envbox lock`",))


@both
def test_a_damaged_package_tree_reaches_neither_a_new_lock_nor_a_layer_that_is_promised(case: Case) -> None:
    case.install(subject())
    good = case.digests()
    artifact = case.read_lock().groups[1].artifacts[0].digest.hex
    package = case.store / "packages-v1" / artifact
    for command in ("build", "lock"):
        case.forget_layers(("layers-v1", "environments-v1"))
        change_a_byte(package / "tree" / DATA)
        if command == "lock":
            case.lock.unlink()
        parts = (
            "the unpacked subject 1.0 in the store is damaged",
            f"/{DATA}: content",
            "hint: run `envbox verify --all --repair`",
        )
        case.fails(command, code="EB-DAMAGED", status=3, parts=(*parts, str(package)))
        case.envbox("verify", "--all", "--repair")
        assert not package.exists()
        case.envbox(command)
        assert case.digests() == good
        assert case.run("cat", f"/{DATA}") == "0123456789" * 100
    case.verify()
