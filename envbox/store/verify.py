"""Reads again what is in a store, and tells where it is not what it was when it was put there."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envbox.errors import LayerDamaged
from envbox.report import Silent
from envbox.store import manifest
from envbox.store.difference import Difference, lines, told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from envbox.report import Reporter
    from envbox.store.manifest import Entry
    from envbox.store.store import Store

_BLOCK = 1 << 20
_BATCH = 64  # files that a thread takes at once: most are small
_MANIFEST = "manifest"
_LAYERS, _TREES = "layers-v1", "packages-v1"
_UNUSABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What a manifest that is none can end in."""
_MOST = 20  # paths of one damage that an error names


@dataclass(frozen=True)
class Damage:
    """A `layer`, `package tree` or `artifact` that is not what it was, by its name in the store."""

    kind: str
    name: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Subjects:
    """Names of what to verify: in layers-v1, packages-v1 and blobs/sha256. What is not there counts as damaged."""

    layers: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verified:
    """What was read, each file once however many names it has, and what is damaged: the shortest lists first."""

    layers: int
    trees: int
    blobs: int
    files: int
    bytes: int
    damages: tuple[Damage, ...]


def everything(store: Store) -> Subjects:
    """All that a store has and that can be verified."""
    layers, trees = sorted(os.listdir(store.path(_LAYERS))), sorted(os.listdir(store.path(_TREES)))
    blobs = [name for name in sorted(os.listdir(store.path("blobs", "sha256"))) if not name.endswith(".part")]
    return Subjects(tuple(layers), tuple(trees), tuple(blobs))


def verify(store: Store, subjects: Subjects, reporter: Reporter) -> Verified:
    """Compare every file with the manifests and digests. To be called within `work.building`."""
    folders = [
        *(_Folder("layer", name, store.path(_LAYERS, name)) for name in subjects.layers),
        *(_Folder("package tree", name, store.path(_TREES, name)) for name in subjects.trees),
    ]
    reporter.start("verify", "Verifying", len(folders) + len(subjects.blobs))
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
        contents = _Contents(pool)
        sums = []
        for folder in folders:
            folder.compare(contents)
            if folder.kind == "layer":
                sums.append(pool.submit(_layer_digest, folder))
            reporter.advance("verify", 1)
        blobs = [(name, contents.add(store.path("blobs", "sha256", name))) for name in subjects.blobs]
        contents.flush()
        digests = dict(zip(subjects.layers, (future.result() for future in sums), strict=True))
        damages = [folder.damage(contents, digests.get(folder.name)) for folder in folders]
        damages += [_blob_damage(name, contents.digest(key)) for name, key in blobs]
    reporter.finish("verify")
    found = sorted(filter(None, damages), key=lambda damage: (len(damage.differences), damage.kind, damage.name))
    counts = (len(subjects.layers), len(subjects.trees), len(subjects.blobs))
    return Verified(*counts, contents.files, contents.bytes, tuple(found))


def check_trees(store: Store, titles: Mapping[str, str]) -> None:
    """Raises LayerDamaged if package trees, by name with a title for people, are not what was unpacked."""
    damages = verify(store, Subjects(trees=tuple(titles)), Silent()).damages
    if damages:
        parts = []
        for damage in damages:
            parts.append(
                f"the unpacked {titles[damage.name]} in the store is damaged: {store.path(_TREES, damage.name)}"
            )
            parts += [f"  {line}" for line in lines(damage.differences, _MOST)]
        raise LayerDamaged(
            "\n".join(parts), hint="run `envbox verify --all --repair` to remove it, then the same command again"
        )


class _Contents:
    """Digests of files, each inode read once, by several threads: hashing leaves the interpreter free."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.files = 0
        self._pool = pool
        self._waiting: list[tuple[object, str]] = []
        self._seen: set[object] = set()
        self._batches: list[Future[dict[object, tuple[str, int]]]] = []
        self._digests: dict[object, tuple[str, int]] = {}

    def add(self, path: str) -> object:
        """Have the file read; returns what `digest` knows it by."""
        try:
            status = os.stat(path, follow_symlinks=True)
            key: object = (status.st_dev, status.st_ino)
        except OSError:
            key = path
        if key not in self._seen:
            self._seen.add(key)
            self.files += 1
            self._waiting.append((key, path))
            if len(self._waiting) >= _BATCH:
                self.flush()
        return key

    def flush(self) -> None:
        """Nothing waits any more to be handed out."""
        if self._waiting:
            self._batches.append(self._pool.submit(_digests, self._waiting))
            self._waiting = []

    def digest(self, key: object) -> str:
        """The file's sha256, empty if it cannot be read."""
        for batch in self._batches:
            self._digests.update(batch.result())
        self._batches.clear()
        return self._digests[key][0]

    @property
    def bytes(self) -> int:
        """How much was read."""
        return sum(size for _, size in self._digests.values())


def _digests(files: list[tuple[object, str]]) -> dict[object, tuple[str, int]]:
    return {key: _sha256(path) for key, path in files}


def _sha256(path: str) -> tuple[str, int]:
    own, size = hashlib.sha256(), 0
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "", 0
            while content := file.read(_BLOCK):
                own.update(content)
                size += len(content)
    except OSError:
        return "", size
    return own.hexdigest(), size


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # to open a pipe would wait for whoever writes it


@dataclass
class _Folder:
    """A tree with a manifest beside it."""

    kind: str
    name: str
    path: str
    differences: list[Difference] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    files: list[tuple[str, str, object]] = field(default_factory=list)
    """Path, promised digest and key of its content."""

    def compare(self, contents: _Contents) -> None:
        """All but contents, which are asked for."""
        try:
            if not os.path.isfile(os.path.join(self.path, _MANIFEST)):
                raise FileNotFoundError(self.path)
            self.entries = manifest.canonical(manifest.read(self.path))
            self._compare_all(os.path.join(self.path, "tree"), contents)
        except _UNUSABLE:
            what = "cannot be read" if os.path.isdir(self.path) else "missing"
            self.entries, self.files, self.differences = [], [], [Difference(_MANIFEST, what)]

    def _compare_all(self, tree: str, contents: _Contents) -> None:
        expected, found = {entry.path: entry for entry in self.entries}, _scan(tree)
        for path in expected.keys() | found.keys():
            self._compare_path(path, expected.get(path), found.get(path))
        for path, entry in expected.items():
            on_disk = found.get(path)
            # One of another size is told already.
            if entry.kind == "file" and on_disk and (on_disk.kind, on_disk.size) == ("file", entry.size):
                self.files.append((path, entry.digest, contents.add(os.path.join(tree, path))))

    def _compare_path(self, path: str, expected: Entry | None, found: Entry | None) -> None:
        if found and found.kind == "socket" and not expected:  # which no manifest has
            return
        what = told(expected, self._as_far_as_shown(expected, found) if expected and found else found)
        if expected and manifest.is_reserved(path):
            what = "a name that no layer can have"
        if what:
            self.differences.append(Difference(path, what))

    def _as_far_as_shown(self, expected: Entry, found: Entry) -> Entry:
        """`found`, with what a disk does not show as expected: contents are read apart, links carry no owner.

        A package's folders get their owners in each layer, and those that deny their owner something stay accessible.
        """
        carries = expected.kind == "file" or (expected.is_directory and self.kind == "layer")
        if not carries:
            found = found._replace(uid=expected.uid, gid=expected.gid)
        if expected.is_directory and found.mode == expected.mode | 0o700:
            found = found._replace(mode=expected.mode)
        return found._replace(digest=expected.digest)

    def damage(self, contents: _Contents, digest: str | None) -> Damage | None:
        """What was found, if anything. `digest`: that of the canonical tar."""
        other = [Difference(path, "content") for path, promised, key in self.files if contents.digest(key) != promised]
        known = {difference.path: difference.what for difference in self.differences}
        merged = {**known, **{d.path: f"{known[d.path]}, content" if d.path in known else d.what for d in other}}
        if not merged and self.kind == "layer" and digest != self.name:
            merged[_MANIFEST] = "does not give the layer's digest"
        found = tuple(Difference(path, merged[path]) for path in sorted(merged, key=os.fsencode))
        return Damage(self.kind, self.name, found) if found else None


def _scan(tree: str) -> dict[str, Entry]:
    try:
        return {entry.path: entry for entry in manifest.canonical(manifest.scan(tree, {}))}
    except OSError:
        return {}


def _layer_digest(folder: _Folder) -> str:
    """Of the canonical tar that manifest and tree give; empty if they give none."""
    try:
        return manifest.measure(os.path.join(folder.path, "tree"), folder.entries)[1].hex
    except _UNUSABLE:
        return ""


def _blob_damage(name: str, digest: str) -> Damage | None:
    return None if digest == name else Damage("artifact", name, (Difference("", "content"),))
