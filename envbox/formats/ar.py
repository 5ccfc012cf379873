"""The ar archive, as .deb files use it (deb(5)): a magic line, then members behind 60-byte headers."""

from __future__ import annotations

from envbox.errors import ArtifactHostile

_MAGIC = b"!<arch>\n"
_HEADER = 60
_END_OF_HEADER = b"`\n"


def members(data: bytes | memoryview) -> dict[str, memoryview]:
    """Every member by name, in the order of the archive. Raises ArtifactHostile where it is malformed."""
    view = memoryview(data)
    if view[: len(_MAGIC)] != _MAGIC:
        raise ArtifactHostile("It is not an ar archive: its first line is not '!<arch>'.")
    found: dict[str, memoryview] = {}
    offset = len(_MAGIC)
    while offset < len(view):
        name, size = _header(bytes(view[offset : offset + _HEADER]), offset)
        offset += _HEADER
        if offset + size > len(view):
            raise ArtifactHostile(f"The archive ends inside its member {name!r}.")
        if name in found:
            raise ArtifactHostile(f"The archive has two members named {name!r}.")
        found[name] = view[offset : offset + size]
        offset += size + size % 2  # members start at even offsets
    return found


def _header(header: bytes, offset: int) -> tuple[str, int]:
    if len(header) < _HEADER or not header.endswith(_END_OF_HEADER):
        raise ArtifactHostile(f"The archive has no member header at offset {offset}.")
    name = header[:16].decode("ascii", "backslashreplace").rstrip(" ").removesuffix("/")
    size = header[48:58].rstrip(b" ")
    if not size.isdigit():
        raise ArtifactHostile(f"The archive's member {name!r} has no size.")
    return name, int(size)
