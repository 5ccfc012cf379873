from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox.errors import ArtifactMismatch, EnvboxError
from envbox.formats import control
from envbox.formats.packages_index import PackagesIndex
from envbox.values import Digest


def entry(name: str, version: str = "1", **fields: str) -> str:
    full = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Filename": f"pool/{name}_{version}.deb",
        "Size": "12",
        "SHA256": "ab" * 32,
    } | {key.replace("_", "-"): value for key, value in fields.items()}
    return "".join(f"{key}: {value}\n" for key, value in full.items() if value)


INDEX = "\n".join(
    [
        entry("bash", Essential="yes", Priority="required"),
        entry("mawk", Provides="awk", Priority="required"),
        entry("gawk", "2", Provides="awk (= 3), gawk-api:any (= 2),\n other", Priority="required-ish"),
        entry("gawk", "3", Description="shows\n Essential: yes\n Priority: required"),
        entry("résumé"),
    ]
)


def test_packages_are_found_by_name_in_every_version():
    index = PackagesIndex(INDEX)
    assert set(index.names()) == {"bash", "mawk", "gawk", "résumé"}
    assert [package.version for package in index.find("gawk")] == ["2", "3"]
    assert index.find("nothing") == ()


def test_a_package_has_its_fields_typed():
    [bash] = PackagesIndex(INDEX.encode()).find("bash")
    assert (bash.name, bash.version, bash.architecture, bash.size) == ("bash", "1", "amd64", 12)
    assert bash.filename == "pool/bash_1.deb"
    assert bash.digest == Digest("ab" * 32)
    assert bash.fields["Essential"] == "yes"


def test_providers_come_with_the_version_they_provide():
    index = PackagesIndex(INDEX)
    assert index.providers("awk") == (("mawk", ""), ("gawk", "3"))
    assert index.providers("gawk-api") == (("gawk", "2"),)
    assert index.providers("other") == (("gawk", ""),)
    assert index.providers("bash") == ()


def test_where_takes_the_whole_value_and_only_fields():
    index = PackagesIndex(INDEX)
    assert [package.name for package in index.where("Essential", "yes")] == ["bash"]
    assert [package.name for package in index.where("Priority", "required")] == ["bash", "mawk"]
    assert list(index.where("Prior", "required")) == []


def test_a_package_is_found_by_its_filename():
    index = PackagesIndex(INDEX)
    found = index.by_filename("pool/gawk_3.deb")
    assert found is not None
    assert found.version == "3"
    assert index.by_filename("pool/gawk") is None


def test_an_empty_index_has_no_packages():
    for text in ("", "\n", "\n\n\n\n", b""):
        assert not PackagesIndex(text).names()


def test_blank_lines_in_a_row_and_a_missing_last_one_do_no_harm():
    text = "\n\n" + entry("a") + "\n\n\n" + entry("b").rstrip("\n")
    index = PackagesIndex(text)
    assert list(index.names()) == ["a", "b"]
    assert [index.find(name)[0].digest.hex for name in "ab"] == ["ab" * 32] * 2


def test_the_name_need_not_come_first():
    index = PackagesIndex("Version: 1\n" + entry("late", ""))
    assert index.find("late")[0].version == "1"


@pytest.mark.parametrize("text", ["Version: 1\n", "Package:\nVersion: 1\n", "Package: \n", "<html>Not found</html>\n"])
def test_a_paragraph_without_a_name_is_refused(text):
    with pytest.raises(ArtifactMismatch, match="without a package's name"):
        PackagesIndex(entry("a") + "\n" + text).names()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SHA256": ""}, "no SHA256 for a"),
        ({"Filename": ""}, "no Filename for a"),
        ({"Size": "-1"}, "size"),
        ({"Size": "1_0"}, "size"),
        ({"SHA256": "abc"}, "SHA256"),
        ({"Broken": "x\nno field"}, "malformed at a"),
    ],
)
def test_a_package_that_lacks_what_it_needs_is_refused_when_it_is_read(changes, message):
    index = PackagesIndex(entry("a", **changes))
    with pytest.raises(ArtifactMismatch, match=message):
        index.find("a")


names = st.text("abc0", min_size=1, max_size=3)
provisions = st.lists(st.tuples(names, st.none() | st.text("12.~", min_size=1, max_size=3)), max_size=3)
virtuals = provisions.map(
    lambda pairs: ", ".join(name if version is None else f"{name} (= {version})" for name, version in pairs)
)
entries = st.lists(
    st.builds(
        lambda name, version, provides, priority: entry(name, version, Provides=provides, Priority=priority),
        names,
        st.text("123", min_size=1, max_size=2),
        virtuals,
        st.sampled_from(["required", "optional"]),
    ),
    max_size=6,
)


@given(entries)
def test_every_question_is_answered_as_by_reading_it_all(texts):
    index = PackagesIndex("\n".join(texts))
    everything = [control.paragraph(text) for text in texts]
    for name in {fields["Package"] for fields in everything}:
        own = [fields for fields in everything if fields["Package"] == name]
        assert [package.fields for package in index.find(name)] == own
        filename = own[-1]["Filename"]
        assert filename in {package.filename for package in [index.by_filename(filename)] if package}
    assert index.find("abc0abc0") == ()
    assert set(index.names()) == {fields["Package"] for fields in everything}
    required = [package.fields for package in index.where("Priority", "required")]
    assert sorted(map(str, required)) == sorted(
        str(fields) for fields in everything if fields["Priority"] == "required"
    )
    for virtual in ("a", "b", "ab"):
        expected = [
            (fields["Package"], part.partition("(= ")[2].rstrip(")"))
            for fields in everything
            for part in fields.get("Provides", "").split(", ")
            if part.partition(" ")[0] == virtual
        ]
        assert sorted(index.providers(virtual)) == sorted(expected)


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(data):
    try:
        index = PackagesIndex(data)
        for name in index.names():
            index.find(name)
        index.providers("x")
        index.by_filename("x")
    except EnvboxError:
        pass
