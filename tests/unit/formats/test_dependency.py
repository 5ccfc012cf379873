from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.errors import ArtifactHostile
from envbox.formats.dependency import Relation, parse

names = st.text("abcdefghij0123456789+.-", min_size=2, max_size=10).filter(lambda name: name[0].isalnum())
relations = st.builds(
    lambda name, version, qualifier: Relation(name, *(version or ("", "")), qualifier),
    names,
    st.none()
    | st.tuples(st.sampled_from(["<<", "<=", "=", ">=", ">>"]), st.text("0123456789.~+-:", min_size=1, max_size=6)),
    st.sampled_from(["", "any", "native", "amd64"]),
)
spaces = st.sampled_from(["", " ", "\n ", " \t "])


@given(st.lists(st.lists(relations, min_size=1, max_size=3), max_size=4), spaces, spaces)
def test_what_is_written_reads_back_however_it_is_spaced(clauses, inner, outer):
    def write(relation: Relation) -> str:
        name = relation.name + (f":{relation.qualifier}" if relation.qualifier else "")
        version = f"{inner}({inner}{relation.operator}{inner}{relation.version}{inner})" if relation.operator else ""
        return f"{outer}{name}{version}{outer}"

    text = ",".join("|".join(write(relation) for relation in clause) for clause in clauses)
    assert parse(text, "amd64") == tuple(tuple(clause) for clause in clauses)


def test_a_real_list_has_its_clauses_and_alternatives():
    text = "libc6 (>= 2.34), python3:any (>= 3.11~), default-mta | mail-transport-agent, perl (<< 6),"
    assert parse(text, "amd64") == (
        (Relation("libc6", ">=", "2.34"),),
        (Relation("python3", ">=", "3.11~", "any"),),
        (Relation("default-mta"), Relation("mail-transport-agent")),
        (Relation("perl", "<<", "6"),),
    )


def test_the_obsolete_operators_include_equality():
    assert parse("a (< 1), b (> 1)", "amd64") == ((Relation("a", "<=", "1"),), (Relation("b", ">=", "1"),))


@pytest.mark.parametrize(
    ("restriction", "amd64", "arm64"),
    [
        ("amd64", True, False),
        ("amd64 arm64", True, True),
        ("!amd64", False, True),
        ("!i386 !amd64", False, True),
        ("linux-any", True, True),
        ("!linux-any", False, False),
        ("any-amd64", True, False),
        ("linux-amd64", True, False),
        ("gnu-any-any", True, True),
        ("musl-linux-any", False, False),
        ("hurd-any", False, False),
        ("kfreebsd-amd64", False, False),
        ("any", True, True),
        ("i386", False, False),
    ],
)
def test_an_architecture_restriction_applies_or_not(restriction, amd64, arm64):
    for architecture, applies in (("amd64", amd64), ("arm64", arm64)):
        assert parse(f"a (>= 1) [{restriction}] | b, c", architecture) == (
            (*[Relation("a", ">=", "1")] * applies, Relation("b")),
            (Relation("c"),),
        )


def test_a_clause_of_which_nothing_applies_is_left_out():
    assert parse("a [i386] | b [!amd64], c <nocheck>", "amd64") == ()


@pytest.mark.parametrize(
    ("profiles", "applies"),
    [("<!nocheck>", True), ("<stage1>", False), ("<stage1> <!cross>", True), ("<!nocheck stage1>", False)],
)
def test_no_build_profile_is_active(profiles, applies):
    assert parse(f"a [amd64] {profiles}", "amd64") == (((Relation("a"),),) if applies else ())


@pytest.mark.parametrize(
    "text",
    [
        "a (1)",
        "a (>= )",
        "a (>= 1",
        "a | | b",
        "a b",
        "(>= 1)",
        "a (== 1)",
        "${misc:Depends}",
        "a [amd64",
        "é",
    ],
)
def test_a_malformed_relation_is_quoted(text):
    with pytest.raises(ArtifactHostile, match="is not a relation"):
        parse(f"fine, {text}", "amd64")


@pytest.mark.parametrize(
    ("operator", "accepted"),
    [
        ("", ["1", "2", "3"]),
        ("<<", ["1"]),
        ("<=", ["1", "2"]),
        ("=", ["2"]),
        (">=", ["2", "3"]),
        (">>", ["3"]),
    ],
)
def test_a_relation_is_satisfied_by_the_versions_it_names(operator, accepted):
    relation = Relation("a", operator, "2" if operator else "")
    assert [version for version in ("1", "2", "3") if relation.satisfied_by(version)] == accepted


@given(st.text(st.sampled_from("ab1 ,|()[]<>!=:~\n-"), max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ArtifactHostile):
        assert all(clause for clause in parse(text, "amd64"))


@pytest.mark.timeout(5)
@pytest.mark.parametrize("text", ["a" + " " * 200_000 + "!", "a " + "<x> " * 50_000 + "!", "a" * 200_000 + "!"])
def test_a_hostile_text_takes_no_longer_than_others(text):
    with pytest.raises(ArtifactHostile):
        parse(text, "amd64")
