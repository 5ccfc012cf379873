import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbox.errors import SpecInvalid, UnknownPackage
from envbox.formats import toml
from envbox.spec import Change, parse, with_added, with_removed

COMMENTED = """\
# What we work in.
name = "climate"   # ours
base = "debian:13"
packages = [
  "git",      # for history
  "graphviz",
]

[libraries]
python = ["NumPy>=2"]

[session]
shell = "bash"
"""


def read_nothing(path):
    raise FileNotFoundError(path)


def parsed(text):
    return parse(text, file="envbox.toml", folder="/home/me/climate", read=read_nothing)


def test_what_is_added_stands_at_the_end_of_its_list_and_nothing_else_changes():
    expected = COMMENTED.replace('  "graphviz",\n', '  "graphviz",\n  "jq",\n').replace('>=2"]', '>=2", "pandas"]')
    assert with_added(COMMENTED, Change(("jq",), ("pandas",))) == expected


def test_what_is_removed_goes_with_its_comment_and_nothing_else_changes():
    text = with_removed(COMMENTED, Change(("graphviz",), ("numpy",)))
    assert text == COMMENTED.replace('  "graphviz",\n', "").replace('"NumPy>=2"', "")


def test_what_is_there_is_not_added_again_but_gets_a_version_asked_for():
    assert with_added(COMMENTED, Change(("git",), ("numpy",))) == COMMENTED
    changed = with_added(COMMENTED, Change(("git=1:2",), ("numpy<3",)))
    assert changed == COMMENTED.replace('"git"', '"git=1:2"').replace("NumPy>=2", "numpy<3")


@pytest.mark.parametrize(
    "text",
    [
        'base = "debian:13"',
        'base = "debian:13"\n[variables]\nA = "b"\n',
        'base = "debian:13"\n[[step]]\nname = "a"\nrun = "b"\n[variables]\nA = "b"\n',
        "packages = []",
    ],
)
def test_lists_that_are_missing_are_made(text):
    values = toml.loads(with_added(text, Change(("jq",), ("numpy",))))
    assert values["packages"] == ["jq"]
    assert values["libraries"]["python"] == ["numpy"]


def test_libraries_of_a_file_are_added_in_that_file():
    text = 'base = "debian:13"\nlibraries.python = { requirements = "requirements.txt" }'
    with pytest.raises(SpecInvalid, match=r"requirements\.txt") as told:
        with_added(text, Change(python=("numpy",)))
    assert "requirements.txt" in told.value.hint


def test_what_is_not_asked_for_cannot_be_removed():
    with pytest.raises(UnknownPackage, match="'jq'") as told:
        with_removed(COMMENTED, Change(("jq",)))
    assert "git, graphviz" in told.value.hint


names = st.from_regex(r"[a-z][a-z0-9]{1,8}", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(names, unique=True, max_size=5), st.lists(names, unique=True, min_size=1, max_size=5), st.booleans())
def test_adding_and_removing_gives_the_spec_that_was(have, more, many_lines):
    separator = ",\n  " if many_lines else ", "
    text = f'base = "debian:13"\npackages = [{separator.join(map(toml.scalar, have))}]\n'
    new = tuple(name for name in more if name not in have)
    added = with_added(text, Change(new))
    assert {request.name for request in parsed(added).packages} == {*have, *new}
    assert parsed(with_removed(added, Change(new))) == parsed(text)
