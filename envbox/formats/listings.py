"""Lists that tools write in the order of a file system, or in a random one, put into the order of names."""

from __future__ import annotations

_RULE = b"###"
_LARGE_FILES = b'[filter "lfs"]\n'


def sorted_configuration(content: bytes, _epoch: int) -> bytes:
    """What update-updmap and update-fmtutil (tex-common) put together: a head between two rules, then lines."""
    lines = content.splitlines(keepends=True)
    rules = [number for number, line in enumerate(lines) if line.startswith(_RULE)]
    start = rules[1] + 1 if len(rules) > 1 else 0
    return b"".join([*lines[:start], *sorted(lines[start:])])


def sorted_folders(content: bytes, _epoch: int) -> bytes:
    """An ls-R file (kpathsea): a head, then for every folder its name with a colon and the names in it."""
    head, *blocks = content.rstrip(b"\n").split(b"\n\n")
    return b"\n\n".join([head, *sorted(map(_sorted_names, blocks))]) + b"\n"


def _sorted_names(block: bytes) -> bytes:
    heads = [line for line in block.splitlines() if line.endswith(b":")]
    return b"\n".join([*heads, *sorted(line for line in block.splitlines() if not line.endswith(b":"))])


def sorted_settings(content: bytes, _epoch: int) -> bytes:
    """A configuration of git (git-config(1)) whose section of git-lfs has its settings in order."""
    sections: list[list[bytes]] = [[]]
    for line in content.splitlines(keepends=True):
        if line.startswith(b"["):
            sections.append([line])
        else:
            sections[-1].append(line)
    return b"".join(
        b"".join([*lines[:1], *(sorted(lines[1:]) if lines[:1] == [_LARGE_FILES] else lines[1:])]) for lines in sections
    )
