from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.errors import ArtifactHostile
from envbox.formats.control import paragraph, paragraphs

TWO = f"""\
# a comment
Package: one
Depends: a,
 b
Conffiles:
 /etc/one 0123
{" /etc/two 4567  "}


 \t
Package:two
Description: short \t
 .
  indented: not a field
"""

names = st.text("abcXYZ019_-./+", min_size=1, max_size=12).filter(lambda name: name[0].isalpha())
inline = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)
continuation = st.tuples(st.sampled_from(" \t"), inline).map("".join).filter(str.strip)
values = st.tuples(inline.map(str.strip), st.lists(continuation, max_size=3)).map(
    lambda parts: "\n".join([parts[0], *parts[1]])
)


def test_values_keep_their_continuation_lines_as_they_are():
    assert list(paragraphs(TWO)) == [
        {"Package": "one", "Depends": "a,\n b", "Conffiles": "\n /etc/one 0123\n /etc/two 4567  "},
        {"Package": "two", "Description": "short\n .\n  indented: not a field"},
    ]


@given(st.lists(st.dictionaries(names, values, min_size=1, max_size=4), max_size=4), st.booleans())
def test_what_is_written_reads_back(written, end):
    text = (
        "\n\n".join("\n".join(f"{name}: {value}" for name, value in fields.items()) for fields in written) + "\n" * end
    )
    assert list(paragraphs(text)) == written


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A: 1\nno colon here\n", "Line 2"),
        (" continues nothing\n", "Line 1"),
        ("A: 1\n\n b\n", "Line 3"),
        ("A: 1\nB: 2\nA: 3\n", "Line 3"),
        (": no name\n", "Line 1"),
        ("Two words: 1\n", "Line 1"),
    ],
)
def test_a_malformed_line_is_named(text, line):
    with pytest.raises(ArtifactHostile, match=line):
        list(paragraphs(text))


@pytest.mark.parametrize("text", ["", "\n\n", "A: 1\n\nB: 2\n"])
def test_one_paragraph_is_neither_none_nor_two(text):
    with pytest.raises(ArtifactHostile, match="one paragraph"):
        paragraph(text)


@given(st.text(st.sampled_from("aA:\n #\t-\r\x85é"), max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ArtifactHostile):
        assert all(paragraphs(text))
