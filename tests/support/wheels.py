"""Tiny valid wheels, and a package index to serve them from (PEP 503 pages, PEP 691 JSON, PEP 658 metadata).

index = SimpleIndex(tmp_path / "index")
index.add(WheelRecipe("hello", modules={"hello.py": "GREETING = 'hi'"}))
index.publish()
with Server(index.folder) as server: ... server.url + "/simple/"
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class WheelRecipe:
    """A wheel. `data` is by scheme: {"scripts/x": ..., "data/share/y": ..., "headers/z.h": ...}."""

    name: str
    version: str = "1.0"
    modules: Mapping[str, str | bytes] = field(default_factory=dict)
    requires: Sequence[str] = ()
    console_scripts: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str | bytes] = field(default_factory=dict)
    tag: str = "py3-none-any"
    requires_python: str = ""
    summary: str = "Made for a test"

    @property
    def stem(self) -> str:
        """Name and version as file names have them."""
        return f"{re.sub(r'[-_.]+', '_', self.name)}-{self.version}"

    @property
    def filename(self) -> str:
        """As on an index."""
        return f"{self.stem}-{self.tag}.whl"

    def metadata(self) -> str:
        """The METADATA file."""
        fields = [("Metadata-Version", "2.1"), ("Name", self.name), ("Version", self.version)]
        fields.append(("Summary", self.summary))
        fields += [("Requires-Python", self.requires_python)] if self.requires_python else []
        fields += [("Requires-Dist", requirement) for requirement in self.requires]
        return "".join(f"{name}: {value}\n" for name, value in fields)

    def build(self) -> bytes:
        """The .whl. The same recipe gives the same bytes."""
        information = f"{self.stem}.dist-info"
        pure = "true" if self.tag.endswith("-any") else "false"
        files: dict[str, str | bytes] = dict(self.modules)
        files |= {f"{self.stem}.data/{path}": content for path, content in self.data.items()}
        files[f"{information}/METADATA"] = self.metadata()
        files[f"{information}/WHEEL"] = (
            f"Wheel-Version: 1.0\nGenerator: envbox-tests\nRoot-Is-Purelib: {pure}\nTag: {self.tag}\n"
        )
        if self.console_scripts:
            lines = [f"{name} = {target}\n" for name, target in self.console_scripts.items()]
            files[f"{information}/entry_points.txt"] = "[console_scripts]\n" + "".join(lines)
        encoded = {path: _encoded(content) for path, content in files.items()}
        record = "".join(f"{path},{_record_digest(data)},{len(data)}\n" for path, data in encoded.items())
        encoded[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n".encode()
        return _zip(encoded)


def _encoded(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _record_digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            information = zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0))
            information.compress_type = zipfile.ZIP_DEFLATED
            information.external_attr = (0o100755 if ".data/scripts/" in path else 0o100644) << 16
            archive.writestr(information, data)
    return buffer.getvalue()


@dataclass(frozen=True)
class _File:
    name: str
    data: bytes
    metadata: bytes
    requires_python: str
    version: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class SimpleIndex:
    """An index in `folder`: simple/NAME/ and files/. `publish` after the last `add`."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self._projects: dict[str, list[_File]] = {}

    def add(self, recipe: WheelRecipe) -> str:
        """Its path below the folder."""
        file = _File(
            recipe.filename,
            recipe.build(),
            recipe.metadata().encode(),
            recipe.requires_python,
            recipe.version,
        )
        project = re.sub(r"[-_.]+", "-", recipe.name).lower()
        self._projects.setdefault(project, []).append(file)
        return f"files/{file.name}"

    def publish(self) -> None:
        """Write all files and pages."""
        for project, files in self._projects.items():
            for file in files:
                self._write(f"files/{file.name}", file.data)
                self._write(f"files/{file.name}.metadata", file.metadata)
            self._write(f"simple/{project}/index.html", _page(files).encode())
            self._write(f"simple/{project}/index.json", json.dumps(_document(project, files)).encode())
        links = "".join(f'<a href="{project}/">{project}</a>\n' for project in sorted(self._projects))
        self._write("simple/index.html", f"<!DOCTYPE html><html><body>\n{links}</body></html>\n".encode())

    def _write(self, name: str, data: bytes) -> None:
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def _page(files: Sequence[_File]) -> str:
    lines = []
    for file in files:
        python = f' data-requires-python="{html.escape(file.requires_python)}"' if file.requires_python else ""
        core = f' data-core-metadata="sha256={hashlib.sha256(file.metadata).hexdigest()}"'
        lines.append(f'<a href="../../files/{file.name}#sha256={file.digest}"{python}{core}>{file.name}</a><br>\n')
    return f"<!DOCTYPE html><html><body>\n{''.join(lines)}</body></html>\n"


def _document(project: str, files: Sequence[_File]) -> dict[str, object]:
    return {
        "meta": {"api-version": "1.1"},
        "name": project,
        "versions": sorted({file.version for file in files}),
        "files": [
            {
                "filename": file.name,
                "url": f"../../files/{file.name}",
                "hashes": {"sha256": file.digest},
                "size": len(file.data),
                "upload-time": "2024-01-01T00:00:00.000000Z",
                "core-metadata": {"sha256": hashlib.sha256(file.metadata).hexdigest()},
                **({"requires-python": file.requires_python} if file.requires_python else {}),
            }
            for file in files
        ],
    }
