from __future__ import annotations

import bz2
import gzip
import lzma
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.errors import ArtifactHostile
from envbox.formats.compression import decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    zstd = pytest.importorskip("backports.zstd")

COMPRESSORS = {
    "data.tar.xz": lzma.compress,
    "data.tar.lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "Packages.gz": gzip.compress,
    "control.tar.zst": zstd.compress,
    "Packages.bz2": bz2.compress,
    "Packages": bytes,
}
each = pytest.mark.parametrize("name", COMPRESSORS)


@each
@given(st.binary(max_size=3000))
def test_each_compression_is_told_by_the_suffix(name, content):
    packed = COMPRESSORS[name](content)
    assert decompress(name, packed) == content
    assert decompress(name, memoryview(packed)) == content


@pytest.mark.parametrize("name", ["x.xz", "x.gz", "x.zst", "x.bz2"])
def test_two_streams_in_a_row_are_one_content(name):
    compress = {"x.xz": lzma.compress, "x.gz": gzip.compress, "x.zst": zstd.compress, "x.bz2": bz2.compress}[name]
    assert decompress(name, compress(b"one") + compress(b"two")) == b"onetwo"


@pytest.mark.parametrize("name", [name for name in COMPRESSORS if "." in name])
def test_what_is_cut_short_is_refused_by_name(name):
    packed = COMPRESSORS[name](bytes(range(256)) * 40)
    for length in (0, 1, 10, len(packed) // 2, len(packed) - 1):
        # The old format of .lzma has no checksum and may end early only with an end marker.
        with pytest.raises(ArtifactHostile, match=name):
            decompress(name, packed[:length])


@pytest.mark.parametrize("name", [name for name in COMPRESSORS if "." in name])
@given(st.binary(max_size=300))
def test_random_bytes_are_refused_by_name(name, data):
    with pytest.raises(ArtifactHostile, match=name):
        decompress(name, b"\xfe" + data)
