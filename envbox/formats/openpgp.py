"""Clearsigned documents, as InRelease is one: what they say, once a known key has signed it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envbox.errors import SignatureInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pysequoia

# OpenPGP itself accepts text around the block and ignores it; so might whoever reads the file, or not.
# One whole block and nothing else leaves no two ways to read a document. Lines that begin with a dash are
# escaped in the signed text (RFC 9580, 7.2), so that no marker can stand inside it.
_FRAME = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----[ \t]*\r?\n"
    rb"(?:Hash: [A-Za-z0-9, -]+\r?\n)*"
    rb"[ \t]*\r?\n"
    rb"(?:(?:(?!-)|- )[^\n]*\n)*"
    rb"-----BEGIN PGP SIGNATURE-----[ \t]*\r?\n"
    rb"(?:(?!-)[^\n]*\n)*"
    rb"-----END PGP SIGNATURE-----\s*"
)
_HINT = "The mirror may be broken or hostile: try another one. If the archive's keys are new, update envbox."


@dataclass(frozen=True)
class Verified:
    """The bytes that were signed, and the fingerprints of the certificates whose signature is good.

    `certificate` is the first of them, armoured, line by line.
    """

    text: bytes
    signers: tuple[str, ...]
    certificate: tuple[str, ...]


def verify_clearsigned(document: bytes, keys: Sequence[bytes], where: str, fingerprint: str = "") -> Verified:
    """What `document` says, if it is one clearsigned block with a good signature by one of `keys`.

    Each of `keys` is one or more certificates, armoured or binary. Signatures by other keys do not matter; with
    `fingerprint`, all but those by the certificate or the signing subkey that has it.
    A key must have been valid when it signed. Raises SignatureInvalid naming `where`.
    """
    import pysequoia  # 10 ms that only locking has to pay

    if not _FRAME.fullmatch(document):
        raise SignatureInvalid(f"{where} is not one clearsigned OpenPGP message and nothing else.", hint=_HINT)
    certificates = [certificate for key in keys for certificate in _certificates(key, where)]
    asked: list[str] = []

    def known(issuers: list[str]) -> list[pysequoia.Cert]:
        asked.extend(issuers)
        return certificates

    try:
        result = pysequoia.verify(bytes=document, store=known)
    except (RuntimeError, ValueError, TypeError) as error:
        raise SignatureInvalid(f"{where}: {_reason(error, asked)}", hint=_HINT) from error
    made = [(one.certificate.upper(), one.signing_key.upper()) for one in result.valid_sigs]
    signers = tuple(dict.fromkeys(names[0] for names in made if not fingerprint or fingerprint in names))
    if result.bytes is None or not signers:
        others = ", ".join(f"{certificate} (by its key {key})" for certificate, key in made)
        by = f"it is signed by {others}, not by {fingerprint}" if others else "no known key has signed it"
        raise SignatureInvalid(f"{where}: {by}.", hint=_HINT)
    certificate = next(known for known in certificates if known.fingerprint.upper() == signers[0])
    # Line endings are not signed (RFC 9580, 7.2): one form of them, so that one signed text has one digest.
    return Verified(result.bytes.replace(b"\r\n", b"\n"), signers, _armoured(bytes(certificate)))


def _armoured(certificate: bytes) -> tuple[str, ...]:
    """RFC 9580, 6.2. Not by the library, whose header lines differ by its version."""
    text = base64.b64encode(certificate).decode("ascii")
    lines = (text[start : start + 64] for start in range(0, len(text), 64))
    return ("-----BEGIN PGP PUBLIC KEY BLOCK-----", "", *lines, "-----END PGP PUBLIC KEY BLOCK-----")


def readings(document: bytes) -> tuple[bytes, ...]:
    """The texts that `document` may stand for, unverified: itself, and what it clearsigns. For who knows a digest."""
    if not _FRAME.fullmatch(document):
        return (document,)
    signed = document.replace(b"\r\n", b"\n").partition(b"\n\n")[2].rpartition(b"-----BEGIN PGP SIGNATURE-----")[0]
    text = re.sub(rb"^- ", b"", signed, flags=re.MULTILINE)
    # The last line ending belongs to the frame; whether a text ends with one is not signed.
    return (document, text, text.removesuffix(b"\n"))


def _certificates(key: bytes, where: str) -> list[pysequoia.Cert]:
    import pysequoia

    try:
        found = pysequoia.Cert.split_bytes(key)
    except (RuntimeError, ValueError) as error:
        raise SignatureInvalid(f"{where}: a key to verify it with cannot be read: {_first_line(error)}.") from error
    if not found:
        raise SignatureInvalid(f"{where}: a key to verify it with holds no certificate.")
    return list(found)


def _reason(error: Exception, issuers: list[str]) -> str:
    if not issuers:
        return f"its signature cannot be read: {_first_line(error)}."
    names = ", ".join(issuer.upper() for issuer in issuers)
    return f"no known key has signed it as it stands; it names the keys {names}."


def _first_line(error: Exception) -> str:
    # The rest is a backtrace of the library.
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
