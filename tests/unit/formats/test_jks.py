import hashlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from envbox.formats import jks


def key_store(entries, date, kind=2, password="changeit"):
    body = struct.pack(">III", 0xFEEDFEED, 2, len(entries))
    for alias, certificate in entries:
        body += struct.pack(">IH", kind, len(alias)) + alias + struct.pack(">q", date)
        body += struct.pack(">H", 5) + b"X.509" + struct.pack(">I", len(certificate)) + certificate
    seal = hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()
    return body + seal


ENTRIES = st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=50)), unique_by=lambda e: e[0])


@given(ENTRIES, st.integers(0, 2**40))
def test_stores_made_at_other_times_in_another_order_become_equal(entries, date):
    other = key_store(list(reversed(entries)), date + 1)
    assert jks.with_date(key_store(entries, date), 1000) == jks.with_date(other, 1000)


def test_the_result_is_a_store_with_the_new_date():
    entries = [(b"debian:a.pem", b"one"), (b"debian:b.pem", b"two")]
    assert jks.with_date(key_store(entries, 5), 1000) == key_store(entries, 1000 * 1000)


def test_other_kinds_are_left_alone():
    assert jks.with_date(b"", 1) is None
    assert jks.with_date(b"PK" * 40, 1) is None
    assert jks.with_date(key_store([(b"a", b"b")], 1, kind=1), 1) is None
    assert jks.with_date(key_store([(b"a", b"b")], 1, password="secret"), 1) is None


@given(st.binary(max_size=60))
def test_a_store_cut_short_is_left_alone(rest):
    body = struct.pack(">III", 0xFEEDFEED, 2, 3) + rest
    seal = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()
    assert jks.with_date(body + seal, 1) is None or len(rest) >= 14
