from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pysequoia
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbox.errors import SignatureInvalid
from envbox.formats.openpgp import verify_clearsigned

WHERE = "http://mirror.example/dists/x/InRelease"
TEXT = b"Suite: x\n- dashed\n-----BEGIN PGP SIGNED MESSAGE-----\nSHA256:\n 00 1 a\n\n\xc3\xa9\n"


def certificate(key: pysequoia.Tsk) -> pysequoia.Cert:
    return key.extract_certificate()


def clearsign(key: pysequoia.Tsk, text: bytes = TEXT) -> bytes:
    return pysequoia.sign(key.signer(), text, mode=pysequoia.SignatureMode.CLEAR)


def with_both_signatures(one: bytes, other: bytes) -> bytes:
    """The first document, with the signature packets of both in its one signature block."""

    def packets(document: bytes) -> bytes:
        armoured = document[document.index(b"-----BEGIN PGP SIGNATURE-----") :]
        return bytes(pysequoia.Sig.from_bytes(armoured))

    body = one[: one.index(b"-----BEGIN PGP SIGNATURE-----")]
    return body + pysequoia.armor(packets(one) + packets(other), pysequoia.ArmorKind.Signature).encode()


KEY = pysequoia.Tsk.generate("Archive <archive@example.org>")
OTHER = pysequoia.Tsk.generate("Other <other@example.org>")
KEYS = [bytes(certificate(KEY))]
SIGNED = clearsign(KEY)
FINGERPRINT = certificate(KEY).fingerprint.upper()


def test_a_good_signature_gives_the_signed_text_and_the_signer():
    verified = verify_clearsigned(SIGNED, KEYS, WHERE)
    assert verified.text == TEXT
    assert verified.signers == (FINGERPRINT,)


@pytest.mark.parametrize(
    "keys",
    [
        [str(certificate(KEY)).encode()],
        [bytes(certificate(OTHER)), bytes(certificate(KEY))],
        [bytes(certificate(OTHER)) + bytes(certificate(KEY))],
        [str(certificate(OTHER)).encode() + b"\n" + str(certificate(KEY)).encode()],
    ],
    ids=["armoured", "among others", "keyring", "armoured keyring"],
)
def test_keys_come_armoured_or_binary_one_or_several_a_file(keys):
    assert verify_clearsigned(SIGNED, keys, WHERE).signers == (FINGERPRINT,)


def test_one_known_signer_among_unknown_ones_suffices():
    both = with_both_signatures(SIGNED, clearsign(OTHER))
    assert verify_clearsigned(both, KEYS, WHERE).signers == (FINGERPRINT,)
    everyone = [*KEYS, bytes(certificate(OTHER))]
    assert set(verify_clearsigned(both, everyone, WHERE).signers) == {
        FINGERPRINT,
        certificate(OTHER).fingerprint.upper(),
    }


def test_a_signature_of_another_text_counts_for_nothing():
    both = with_both_signatures(SIGNED, clearsign(OTHER, b"another text\n"))
    with pytest.raises(SignatureInvalid):
        verify_clearsigned(both, [bytes(certificate(OTHER))], WHERE)


def test_unknown_keys_alone_are_refused_and_named():
    with pytest.raises(SignatureInvalid, match="InRelease: no known key") as caught:
        verify_clearsigned(SIGNED, [bytes(certificate(OTHER))], WHERE)
    signature = pysequoia.Sig.from_bytes(SIGNED[SIGNED.index(b"-----BEGIN PGP SIGNATURE-----") :])
    assert signature.issuer_fingerprint.upper() in caught.value.message
    assert caught.value.hint


def test_no_keys_at_all_verify_nothing():
    with pytest.raises(SignatureInvalid):
        verify_clearsigned(SIGNED, [], WHERE)


@pytest.mark.parametrize(
    "document",
    [
        SIGNED.replace(b"Suite: x", b"Suite: y"),
        SIGNED.replace(b"Suite: x\n", b""),
        b"Suite: evil\n" + SIGNED,
        b"\n" + SIGNED,
        SIGNED + b"Suite: evil\n",
        SIGNED + SIGNED,
        SIGNED + clearsign(OTHER, b"Suite: evil\n"),
        clearsign(OTHER, b"Suite: evil\n") + SIGNED,
        SIGNED.replace(b"Hash: SHA512\n", b"Hash: SHA512\nSuite: evil\n"),
        TEXT,
        b"",
        SIGNED[: SIGNED.index(b"-----BEGIN PGP SIGNATURE-----")],
        pysequoia.sign(KEY.signer(), TEXT),
        pysequoia.sign(KEY.signer(), TEXT, mode=pysequoia.SignatureMode.DETACHED),
    ],
    ids=[
        "changed",
        "shortened",
        "text before",
        "line before",
        "text after",
        "twice",
        "another after",
        "another before",
        "text among headers",
        "unsigned",
        "empty",
        "signature cut off",
        "signed inline",
        "signature alone",
    ],
)
def test_anything_but_one_signed_block_is_refused_with_where_it_came_from(document):
    with pytest.raises(SignatureInvalid, match=r"mirror\.example"):
        verify_clearsigned(document, [*KEYS, bytes(certificate(OTHER))], WHERE)


def test_a_key_may_expire_after_it_signed_but_not_before():
    now = datetime.now(timezone.utc)
    key = pysequoia.Tsk.generate("Old archive")
    later = bytes(certificate(key).set_expiration(now + timedelta(days=1), key.certifier()))
    earlier = bytes(certificate(key).set_expiration(now - timedelta(seconds=30), key.certifier()))
    signed = clearsign(key)
    assert verify_clearsigned(signed, [later], WHERE).text == TEXT
    with pytest.raises(SignatureInvalid):
        verify_clearsigned(signed, [earlier], WHERE)


def test_a_revoked_key_verifies_nothing():
    revoked = bytes(certificate(KEY)) + bytes(certificate(KEY).revoke(KEY.certifier()))
    with pytest.raises(SignatureInvalid):
        verify_clearsigned(SIGNED, [revoked], WHERE)


@pytest.mark.parametrize("key", [b"", b"junk", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", SIGNED])
def test_a_key_that_cannot_be_read_is_refused(key):
    with pytest.raises(SignatureInvalid, match="key"):
        verify_clearsigned(SIGNED, [*KEYS, key], WHERE)


@given(st.integers(0, len(SIGNED)), st.binary(max_size=3), st.integers(0, 3))
@settings(max_examples=300)
def test_a_damaged_document_is_refused_or_says_what_was_signed(place, junk, cut):
    damaged = SIGNED[:place] + junk + SIGNED[place + cut :]
    try:
        verified = verify_clearsigned(damaged, KEYS, WHERE)
    except SignatureInvalid:
        return
    assert verified.text == TEXT


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    framed = (
        SIGNED[: SIGNED.index(b"-----BEGIN PGP SIG") + 31]
        + data.replace(b"-", b"")
        + b"\n-----END PGP SIGNATURE-----\n"
    )
    for document in (data, framed):
        with pytest.raises(SignatureInvalid):
            verify_clearsigned(document, KEYS, WHERE)


def test_line_endings_do_not_change_what_was_signed():
    assert verify_clearsigned(SIGNED.replace(b"\n", b"\r\n"), KEYS, WHERE).text == TEXT
