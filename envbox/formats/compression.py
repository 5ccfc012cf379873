"""Decompression of whole artifacts, by the suffix of their name."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import sys
import zlib
from typing import TYPE_CHECKING

from envbox.errors import ArtifactHostile

if TYPE_CHECKING:
    from collections.abc import Callable

    Data = bytes | bytearray | memoryview

_CORRUPT = (lzma.LZMAError, OSError, EOFError, ValueError, zlib.error, struct.error)


def decompress(name: str, data: bytes | memoryview) -> bytes:
    """The content of `data`, by the suffix of `name`: .xz, .lzma, .gz, .zst or .bz2; all else is plain.

    Raises ArtifactHostile naming `name` where the data is corrupt or cut short.
    """
    suffix = os.path.splitext(name)[1]
    if suffix == ".zst":
        return _zstd(name, data)
    decompressor = _DECOMPRESSORS.get(suffix)
    if decompressor is None:
        return bytes(data)
    try:
        return decompressor(_not_empty(data))
    except _CORRUPT as error:
        raise _corrupt(name, error) from error


def _zstd(name: str, data: bytes | memoryview) -> bytes:
    # Imported here: only a few archives use zstd, and every command would pay for it.
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    try:
        return bytes(zstd.decompress(_not_empty(data)))
    except (zstd.ZstdError, *_CORRUPT) as error:
        raise _corrupt(name, error) from error


def _not_empty(data: bytes | memoryview) -> bytes | memoryview:
    # Some decompressors take nothing for the compressed form of nothing.
    if not len(data):
        raise EOFError("it is empty")
    return data


def _corrupt(name: str, error: Exception) -> ArtifactHostile:
    reason = str(error).rstrip(".") or type(error).__name__
    return ArtifactHostile(
        f"{name} cannot be decompressed: {reason}.",
        hint="Download it again, or report it to whoever publishes it.",
    )


_DECOMPRESSORS: dict[str, Callable[[Data], bytes]] = {
    ".xz": lzma.decompress,
    ".lzma": lzma.decompress,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
}
