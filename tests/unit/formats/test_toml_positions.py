from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbox.formats import toml
from envbox.formats.toml_positions import Path, positions

EVERYTHING = '''\
# [not] = "a table"
name = "a # b"                      # ] }
"quoted \\u0041.key" = 1
a.b . 'c d' = [1979-05-27 07:32:00, 2]

packages = [ "one", # ] comment
  "two",
  [ "x", [ ] ],
  { in = { deep = [ 1,
    2 ] }, list = [] },
]
text = """
first "" = [
\\""" last"""""
after = \'\'\'
[table]
\' \'\'\'
[table] # here
key = { }
[ table . "sub.table" ]
k = +inf
[[step]]
[step.more]
x = 1
[[step]]
x = { y.z = true,w = -0.5e1}
[[step.inner]]
q = ""
[[step.inner]]
q = \'\'
'''

EXPECTED: dict[Path, int] = {
    ("name",): 2,
    ("quoted A.key",): 3,
    ("a",): 4,
    ("a", "b"): 4,
    ("a", "b", "c d"): 4,
    ("a", "b", "c d", 0): 4,
    ("a", "b", "c d", 1): 4,
    ("packages",): 6,
    ("packages", 0): 6,
    ("packages", 1): 7,
    ("packages", 2): 8,
    ("packages", 2, 0): 8,
    ("packages", 2, 1): 8,
    ("packages", 3): 9,
    ("packages", 3, "in"): 9,
    ("packages", 3, "in", "deep"): 9,
    ("packages", 3, "in", "deep", 0): 9,
    ("packages", 3, "in", "deep", 1): 10,
    ("packages", 3, "list"): 10,
    ("text",): 12,
    ("after",): 15,
    ("table",): 18,
    ("table", "key"): 19,
    ("table", "sub.table"): 20,
    ("table", "sub.table", "k"): 21,
    ("step",): 22,
    ("step", 0): 22,
    ("step", 0, "more"): 23,
    ("step", 0, "more", "x"): 24,
    ("step", 1): 25,
    ("step", 1, "x"): 26,
    ("step", 1, "x", "y"): 26,
    ("step", 1, "x", "y", "z"): 26,
    ("step", 1, "x", "w"): 26,
    ("step", 1, "inner"): 27,
    ("step", 1, "inner", 0): 27,
    ("step", 1, "inner", 0, "q"): 28,
    ("step", 1, "inner", 1): 29,
    ("step", 1, "inner", 1, "q"): 30,
}


def paths(value: Any, path: Path = ()) -> set[Path]:
    """Every path that the reader yields."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {path} - {()}
    for key, inner in items:
        found |= paths(inner, (*path, key))
    return found


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_construct_stands_on_its_line(ending: str) -> None:
    text = EVERYTHING.replace("\n", ending)
    assert positions(text) == EXPECTED
    assert paths(toml.loads(text)) == set(EXPECTED)


def test_a_byte_order_mark_moves_nothing() -> None:
    assert positions("\ufeffa = 1\nb = 2") == {("a",): 1, ("b",): 2}


def test_nesting_as_deep_as_the_reader_allows_is_survived() -> None:
    depth = 1
    while depth < 4096:
        text = "a = " + "[" * depth + "]" * depth
        try:
            toml.loads(text)
        except toml.TomlError:
            break
        assert positions(text)[("a",)] == 1
        depth *= 2


keys = st.one_of(
    st.sampled_from(["a", "b", "0", "-_"]),
    st.text(max_size=3).map(toml.scalar),
    st.sampled_from(["''", "'a.b'", "'#['", "'\"'", '"\\U0001F600"']),
)
dotted = st.lists(keys, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([".", " . ", "\t."]).map(lambda dot: dot.join(parts))
)
scalars = st.one_of(
    st.integers(-9, 9).map(str),
    st.text(max_size=6).map(toml.scalar),
    st.sampled_from(
        [
            "true", "-inf", "1_0.5e+3", "0xDEAD", "07:32:00.5", "1979-05-27 07:32:00-07:00", "2020-01-01",
            "'it ]'", '""""""', '"""\n# ]\n"""', '"""a\\\n  b"""', '"""\\""" ""x"""""', "'''\n'' ]\n'''''", "''''''",
        ]
    ),
)  # fmt: skip
blanks = st.sampled_from(["", " ", "\n", "\r\n", " # ]}',\"\n", "\n\n\t"])


def wrap_list(items: list[tuple[str, str]]) -> str:
    return "[" + ",".join(f"{blank}{item}{blank}" for item, blank in items) + "]"


values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(st.tuples(inner, blanks), max_size=3).map(wrap_list),
        st.lists(st.tuples(inner, blanks), min_size=1, max_size=3).map(lambda i: wrap_list(i)[:-1] + ", ]"),
        st.lists(st.tuples(dotted, inner), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        ),
    ),
    max_leaves=8,
)
statements = st.one_of(
    st.builds("{} = {}".format, dotted, values),
    st.builds("{}={} # = [".format, dotted, values),
    dotted.map("[{}]".format),
    dotted.map("[ {} ] # ]".format),
    dotted.map("[[{}]]".format),
    st.sampled_from(["", "# comment", "\t"]),
)


def keep_valid(lines: list[str]) -> str:
    """The longest text of these statements that the reader accepts, built line by line."""
    text = ""
    for line in lines:
        try:
            toml.loads(text + line + "\n")
        except toml.TomlError:
            continue
        text += line + "\n"
    return text


@settings(max_examples=300, deadline=None)
@given(st.lists(statements, max_size=12).map(keep_valid))
def test_every_path_that_the_reader_yields_has_a_position(text: str) -> None:
    found = positions(text)
    assert set(found) == paths(toml.loads(text))
    assert set(found.values()) <= set(range(1, text.count("\n") + 1))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), values), max_size=8))
def test_a_key_stands_on_the_line_where_it_was_written(entries: list[tuple[int, str]]) -> None:
    text = ""
    expected: dict[str, int] = {}
    for number, (gap, value) in enumerate(entries):
        line = "\n" * gap + f"key{number} = {value}\n"
        try:
            toml.loads(line)
        except toml.TomlError:
            continue
        expected[f"key{number}"] = text.count("\n") + gap + 1
        text += line
    found = positions(text)
    assert {key: found[(key,)] for key in expected} == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = \n", 2),
        ("a = 1\n\nb = [1, 2", 3),
        ("a = 1\na = 2", 2),
        ('a = 1\r\n\r\nb = "', 3),
        ("a = " + "[" * 100_000, 1),
        ("a = " + "9" * 5000, 1),
        ("a = 1\n<<<<<<< HEAD\nb = 1\n=======\nb = 2\n>>>>>>> other\n", 2),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(toml.TomlError) as caught:
        toml.loads(text)
    assert caught.value.line == line
    assert "(at" not in caught.value.reason


@given(st.one_of(st.text(), st.integers(), st.datetimes(timezones=st.timezones())).filter(bool))
def test_a_written_scalar_reads_back(value: Any) -> None:
    value = value.replace(microsecond=0) if hasattr(value, "microsecond") else value
    try:
        text = toml.scalar(value)
    except OverflowError:  # a moment that UTC cannot name: year 0 or 10000
        return
    assert text.isprintable() or not text.isascii()
    assert "\n" not in text
    assert toml.loads(f"key = {text}") == {"key": value}
