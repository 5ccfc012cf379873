from hypothesis import given
from hypothesis import strategies as st

from envbox.store.difference import Difference, compare, lines
from envbox.store.manifest import Entry

FILE = Entry("a", "file", 0o644, 0, 0, 5, 3, "0" * 64)
ENTRIES = st.lists(
    st.builds(
        Entry, st.sampled_from("abcd"), st.sampled_from(["file", "directory", "whiteout"]), st.sampled_from([0o644, 0o755]),
        st.integers(0, 1), st.just(0), st.integers(0, 1),
    ),
    unique_by=lambda entry: entry.path,
)  # fmt: skip


@given(ENTRIES, ENTRIES)
def test_paths_that_differ_are_told_once_and_in_order(one, other):
    found = compare(one, other)
    assert compare(one, one) == ()
    assert [line.path for line in found] == sorted({line.path for line in found})
    assert {line.path for line in found} == {line.path for line in compare(other, one)}
    assert {e.path for e in one} ^ {e.path for e in other} == {
        line.path for line in found if line.what in {"new", "missing"}
    }


def test_every_attribute_has_its_words():
    other = FILE._replace(digest="1" * 64, mode=0o4755, uid=7, mtime=6, xattrs=(("security.capability", "01"),))
    assert compare([FILE], [other]) == (
        Difference("a", "content, mode 4755, not 0644, owner 7:0, not 0:0, time, attributes"),
    )
    assert compare([FILE], [FILE._replace(size=4)]) == (Difference("a", "content"),)
    link = Entry("a", "symlink", 0o777, 0, 0, 5, target="b")
    assert compare([FILE], [link]) == (Difference("a", "a symlink, not a file"),)
    assert compare([link], [link._replace(target="c")]) == (Difference("a", "leads to c, not b"),)


def test_names_that_share_a_file_are_the_same_whichever_comes_first():
    one = [FILE, Entry("b", "hardlink", 0o644, 0, 0, 5, target="a")]
    other = [FILE._replace(path="b"), Entry("a", "hardlink", 0o644, 0, 0, 5, target="b")]
    assert compare(one, other) == ()


def test_control_characters_of_strangers_are_told_and_not_sent():
    found = compare([], [FILE._replace(path="a\x1b]0;x\x07\n\udce9é\u202e")])
    assert [str(line) for line in found] == ["/a\\x1b]0;x\\x07\\n\\udce9é\\u202e: new"]


def test_long_lists_are_cut():
    found = [Difference(str(number), "new") for number in range(5)]
    assert lines(found, 5) == [f"/{number}: new" for number in range(5)]
    assert lines(found, 2) == ["/0: new", "/1: new", "and 3 more"]
