"""The merged sight of stacked layers, by their manifests: what a session would find at a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envbox.store.manifest import Entry

_MOST_LINKS = 40  # as the kernel: MAXSYMLINKS


class View:
    """What stacked layers show, the lowest first. Whiteouts and opaque folders hide what is below them."""

    def __init__(self, layers: Iterable[Sequence[Entry]]) -> None:
        self._entries: dict[str, Entry] = {}
        for layer in layers:
            self._stack(layer)

    def _stack(self, layer: Sequence[Entry]) -> None:
        if not self._entries:  # nothing is there that could be hidden
            self._entries = {entry.path: entry for entry in layer if entry.kind != "whiteout"}
            return
        hidden = tuple(f"{entry.path}/" for entry in layer if self._hides_below(entry))
        if hidden:
            self._entries = {path: entry for path, entry in self._entries.items() if not path.startswith(hidden)}
        for entry in layer:
            if entry.kind == "whiteout":
                self._entries.pop(entry.path, None)
            else:
                self._entries[entry.path] = entry

    def _hides_below(self, entry: Entry) -> bool:
        if entry.kind == "directory":
            return False
        below = self._entries.get(entry.path)
        return below is not None and below.is_directory

    def get(self, path: str) -> Entry | None:
        """The entry at `path` itself; links are not followed."""
        return self._entries.get(path)

    def entries(self) -> Iterable[Entry]:
        """All that is to be seen, in no order."""
        return self._entries.values()

    def canonical_folder(self, path: str, links: dict[str, str] | None = None, depth: int = 0) -> str:
        """`path` with every link to a folder followed inside the root; `links` are further ones (path -> text)."""
        if not path or depth > _MOST_LINKS:
            return path
        parent, _, name = path.rpartition("/")
        place = join(self.canonical_folder(parent, links, depth), name)
        entry = self._entries.get(place)
        target = (links or {}).get(place) or (entry.target if entry and entry.kind == "symlink" else None)
        if target is None:
            return place
        return self.canonical_folder(resolve(place, target), links, depth + 1)


def join(folder: str, name: str) -> str:
    """Join relative to the root, whose own path is empty."""
    return f"{folder}/{name}" if folder else name


def resolve(link: str, target: str) -> str:
    """The path that the link at `link` points to, `..` never leaving the root."""
    parts = [] if target.startswith("/") else link.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)
