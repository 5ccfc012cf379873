"""Java key stores of certificates, as sun.security.provider.JavaKeyStore writes them (type JKS, version 2)."""

from __future__ import annotations

import hashlib
import struct

_MAGIC = 0xFEEDFEED
_CERTIFICATE = 2
_PASSWORD = "changeit"  # noqa: S105 - the one that Java documents for its certificate authorities
_SALT = b"Mighty Aphrodite"


def with_date(data: bytes, seconds: int) -> bytes | None:
    """The same store with every entry made at `seconds` and in the order of names.

    None if it is of another kind, holds private keys, or has another password than Java's own.
    """
    try:
        return _with_date(data, seconds)
    except (struct.error, IndexError):
        return None  # cut short


def _with_date(data: bytes, seconds: int) -> bytes | None:
    body, seal = data[:-20], data[-20:]
    if len(data) < 32 or struct.unpack_from(">II", data) != (_MAGIC, 2) or _seal(body) != seal:
        return None
    entries = []
    offset = 12
    for _ in range(struct.unpack_from(">I", data, 8)[0]):
        kind, length = struct.unpack_from(">IH", body, offset)
        if kind != _CERTIFICATE:
            return None
        alias = body[offset + 6 : offset + 6 + length]
        start = offset + 6 + length + 8
        end = start + 2 + struct.unpack_from(">H", body, start)[0]
        end += 4 + struct.unpack_from(">I", body, end)[0]
        head = struct.pack(">IH", kind, length) + alias + struct.pack(">q", seconds * 1000)
        entries.append((alias, head + body[start:end]))
        offset = end
    result = body[:12] + b"".join(entry for _, entry in sorted(entries))
    return result + _seal(result)


def _seal(body: bytes) -> bytes:
    return hashlib.sha1(_PASSWORD.encode("utf-16-be") + _SALT + body, usedforsecurity=False).digest()
