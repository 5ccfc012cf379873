"""uv, the tool that resolves and installs Python libraries: a pinned artifact, never part of a root file system."""

from __future__ import annotations

import io
import os
import zipfile
from typing import TYPE_CHECKING

from envbox.store import manifest
from envbox.store.verify import check_trees
from envbox.store.work import is_whole, publish, work_folder
from envbox.values import Architecture, Artifact, Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envbox.workshop import Workshop

_VERSION = "0.13.8"
_FILES = "https://files.pythonhosted.org/packages"

# From https://pypi.org/simple/uv/; both are static enough to run in every glibc root from 2.17 on.
UV: Mapping[Architecture, Artifact] = {
    Architecture.AMD64: Artifact(
        "uv",
        _VERSION,
        f"{_FILES}/c5/32/52ee34636aea1ab3f8baeeae1c3599461b8cddfb379862cc72ac61b8d91c/"
        f"uv-{_VERSION}-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        17389450,
        Digest("e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984"),
    ),
    Architecture.ARM64: Artifact(
        "uv",
        _VERSION,
        f"{_FILES}/9e/f0/d989ac5fcebf83f1c8c5d78974f27788e8364945969eb646f5d0db35d924/"
        f"uv-{_VERSION}-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        17953056,
        Digest("0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d"),
    ),
}


def executable(tool: Artifact, workshop: Workshop) -> str:
    """The folder with uv's program, taken out of its wheel once; the wheel must be in the store.

    Raises LayerDamaged.
    """
    name = f"tool-{tool.digest.hex}"
    target = workshop.store.path("packages-v1", name)
    if is_whole(target):
        check_trees(workshop.store, {name: f"{tool.name} {tool.version}"})
    else:
        wheel = zipfile.ZipFile(io.BytesIO(workshop.blobs.read(tool.digest, "uv")))
        with work_folder(workshop.store, "uv") as work:
            folder = os.path.join(work, "tool")
            _write_tree(os.path.join(folder, "tree"), wheel.read(f"uv-{tool.version}.data/scripts/uv"))
            manifest.write(folder, manifest.measure(f"{folder}/tree", manifest.scan(f"{folder}/tree", {}))[0])
            publish(folder, target)
    return os.path.join(target, "tree")


def _write_tree(tree: str, program: bytes) -> None:
    os.makedirs(tree)
    path = os.path.join(tree, "uv")
    with open(path, "wb") as file:
        file.write(program)
    os.chmod(path, 0o755)
