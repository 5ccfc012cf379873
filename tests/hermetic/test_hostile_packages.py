"""Packages made to write where they must not: refused, and nothing of them is anywhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.debs import DebRecipe, File, HardLink, Link, compress, device, member, tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hermetic.kit import Case

NAME = "trap"


def with_members(*members: object) -> DebRecipe:
    return DebRecipe(NAME, files={"usr/share/trap": "bait"}, members=members)  # type: ignore[arg-type]


def parts(**changes: bytes) -> list[tuple[str, bytes]]:
    control = tar([member("./", None), member("./control", DebRecipe(NAME).stanza())])
    found = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": compress(control, "xz"),
        "data.tar.xz": compress(tar([]), "xz"),
    }
    return list({**found, **{name.replace("_", "."): data for name, data in changes.items()}}.items())


def control_with(*members: object) -> DebRecipe:
    control = [member("./control", DebRecipe(NAME).stanza()), *members]
    return DebRecipe(NAME, parts=parts(control_tar_xz=compress(tar(control), "xz")))  # type: ignore[arg-type]


# Each gets the folder that must stay as it is.
TRAPS: dict[str, Callable[[Path], DebRecipe]] = {
    "dots": lambda out: with_members(member(f"./../../../../../../..{out}/pwned", "!")),
    "dots-inside": lambda out: with_members(member(f"./usr/../../../../../../..{out}/pwned", "!")),
    "absolute": lambda out: with_members(member(f"{out}/pwned", "!")),
    "symlink-then-file": lambda out: with_members(member("./door", Link(str(out))), member("./door/pwned", "!")),
    "symlink-then-folder": lambda out: with_members(member("./door", Link(str(out))), member("./door", File(b"!"))),
    "relative-symlink": lambda out: with_members(
        member("./a/door", Link("../" * 20 + str(out)[1:])), member("./a/door/pwned", "!")
    ),
    "hard-link-out": lambda out: with_members(member("./pwned", HardLink(f"{out}/kept"))),
    "hard-link-dots": lambda out: with_members(member("./pwned", HardLink("../" * 20 + f"{out}/kept"[1:]))),
    "hard-link-through-symlink": lambda out: with_members(
        member("./door", Link(str(out))), member("./pwned", HardLink("./door/kept"))
    ),
    "duplicate": lambda _out: with_members(member("./usr/bin/a", "1"), member("./usr/bin/a", "2")),
    "file-below-file": lambda _out: with_members(member("./usr/share/trap/below", "!")),
    "whiteout": lambda _out: with_members(member("./usr/share/.wh.trap", "")),
    "control-path": lambda _out: control_with(member("./../postinst", "#!/bin/sh\n")),
    "control-folder": lambda _out: control_with(member("./sub/postinst", "#!/bin/sh\n")),
    "control-symlink": lambda out: control_with(member("./postinst", Link(f"{out}/kept"))),
    "bad-ar": lambda _out: DebRecipe(NAME, parts=[]),
    "no-data": lambda _out: DebRecipe(NAME, parts=[part for part in parts() if part[0] != "data.tar.xz"]),
    "bad-compression": lambda _out: DebRecipe(NAME, parts=parts(data_tar_xz=b"not xz at all")),
    "bad-tar": lambda _out: DebRecipe(NAME, parts=parts(data_tar_xz=compress(b"x" * 2000, "xz"))),
}


@pytest.fixture
def outside(case: Case) -> Path:
    folder = case.folder.parent / "outside"
    folder.mkdir()
    (folder / "kept").write_text("kept")
    case.person.own(folder)
    return folder


def refused(case: Case, deb: bytes, outside: Path, control: str = "") -> str:
    """The archive vouches for the package; envbox must not take it all the same."""
    archive = case.debian.main
    archive._index(control or DebRecipe(NAME).stanza(), f"pool/main/t/{NAME}.deb", deb, "", {})
    path = f"{archive.folder}/pool/main/t/{NAME}.deb"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(deb)
    case.debian.publish()
    case.spec(NAME)
    told = case.fails("lock", code="EB-HOSTILE", status=3, parts=("hint:",))
    assert os.listdir(outside) == ["kept"]
    assert (outside / "kept").read_text() == "kept"
    assert os.lstat(outside / "kept").st_nlink == 1
    assert not os.listdir(case.store / "tmp")
    assert not case.lock.exists()
    case.verify()
    return told


@pytest.mark.parametrize("trap", TRAPS)
def test_a_hostile_package_is_refused_and_writes_nothing(case: Case, outside: Path, trap: str) -> None:
    told = refused(case, TRAPS[trap](outside).build() if trap != "bad-ar" else b"!<arch>\nrubbish" * 9, outside)
    assert NAME in told, told


@pytest.mark.parametrize("case", ["plain"], indirect=True)
@pytest.mark.parametrize("trap", ["dots", "symlink-then-file", "hard-link-out"])
def test_a_plain_user_is_protected_too(case: Case, outside: Path, trap: str) -> None:
    refused(case, TRAPS[trap](outside).build(), outside)


@pytest.mark.parametrize("kept", [20, 100, 0.5, -1])
def test_a_package_that_ends_too_early_is_refused(case: Case, outside: Path, kept: float) -> None:
    whole = DebRecipe(NAME, files={"usr/share/data": os.urandom(5000)}).build()
    refused(case, whole[: int(len(whole) * kept) if isinstance(kept, float) else kept], outside)


def test_device_nodes_of_a_package_are_not_made(case: Case) -> None:
    case.install(DebRecipe("nodes", files={"usr/share/nodes": "x"}, members=(device("./dev/evil", 1, 3),)))
    assert "dev/evil" not in case.entries()
    assert case.content("usr/share/nodes") == b"x"
