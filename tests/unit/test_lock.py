from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from string import ascii_letters, digits

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbox.errors import LockInvalid
from envbox.lock import (
    ArchiveIndex,
    ArchiveState,
    BuildStep,
    Group,
    LibrarySet,
    Lock,
    Request,
    StepInput,
    dumps,
    load,
    loads,
    mismatches,
    request_of,
)
from envbox.spec import Base, PackageRequest, PythonLibraries, Repository, SessionOptions, Spec
from envbox.values import Architecture, Artifact, Digest

A, B, C = (Digest(digit * 64) for digit in "abc")

JQ = Artifact("jq", "1.7.1-6", "pool/main/j/jq/jq_1.7.1-6_amd64.deb", 77_712, A, "main")
GIT = Artifact("git", "1:2.47.3-0", "pool/main/g/git/git_2.47.3-0_amd64.deb", 8_862_000, B, "main")
NUMPY = Artifact("numpy", "2.3.5", "https://files.pythonhosted.org/packages/numpy-2.3.5-cp313.whl", 16_631_018, C)
UV = Artifact("uv", "0.9.11", "https://files.pythonhosted.org/packages/uv-0.9.11-py3-none.whl", 21_600_000, A)

LOCK = Lock(
    recipe=1,
    architecture=Architecture.AMD64,
    epoch=1_754_732_817,
    request=Request(base="debian:13", packages=("git", "jq=1.7.1-6"), python=("numpy>=2",)),
    archives=(
        ArchiveState(
            name="main",
            url="http://deb.debian.org/debian",
            suite="trixie",
            date=1_763_199_000,
            release=A,
            signers=("4CB50190207B4758A3F73A796ED0E7B82643E131",),
            indexes=(ArchiveIndex("main/binary-amd64/Packages.xz", 9_669_604, B),),
        ),
    ),
    groups=(Group("base", (), (GIT,), A, B), Group("packages", ("git", "jq"), (JQ, GIT))),
    libraries=(LibrarySet("python", "3.13.5", (UV,), (NUMPY,), C),),
)

TEXT = f"""\
# Written by envbox. Do not edit; change envbox.toml and run `envbox lock`.

format = 1
needs = "envbox>=0.1"
recipe = 1
architecture = "amd64"
epoch = 2025-08-09T09:46:57Z

[request]
base = "debian:13"
packages = [
  "git",
  "jq=1.7.1-6",
]
python = [
  "numpy>=2",
]

[[archive]]
name = "main"
url = "http://deb.debian.org/debian"
suite = "trixie"
date = 2025-11-15T09:30:00Z
release = "{A}"
signers = [
  "4CB50190207B4758A3F73A796ED0E7B82643E131",
]
indexes = [
  {{ path = "main/binary-amd64/Packages.xz", size = 9669604, digest = "{B}" }},
]

[[group]]
name = "base"
requested = []
unpacked = "{A}"
configured = "{B}"
artifacts = [
  {{ name = "git", version = "1:2.47.3-0", size = 8862000, digest = "{B}", archive = "main", source = "{GIT.source}" }},
]

[[group]]
name = "packages"
requested = [
  "git",
  "jq",
]
artifacts = [
  {{ name = "git", version = "1:2.47.3-0", size = 8862000, digest = "{B}", archive = "main", source = "{GIT.source}" }},
  {{ name = "jq", version = "1.7.1-6", size = 77712, digest = "{A}", archive = "main", source = "{JQ.source}" }},
]

[[library]]
language = "python"
interpreter = "3.13.5"
layer = "{C}"
tools = [
  {{ name = "uv", version = "0.9.11", size = 21600000, digest = "{A}", source = "{UV.source}" }},
]
artifacts = [
  {{ name = "numpy", version = "2.3.5", size = 16631018, digest = "{C}", source = "{NUMPY.source}" }},
]
"""


def test_a_lock_is_written_as_this_text() -> None:
    assert dumps(LOCK) == TEXT


def test_its_text_reads_back_as_the_same_lock() -> None:
    assert loads(TEXT) == LOCK


TEAM = Repository("team", "https://example.org/debian", "trixie", "keys/team.asc", "0123456789ABCDEF" * 2 + "01234567")


def test_a_snapshot_and_repositories_stand_in_the_request_where_there_are_any() -> None:
    request = replace(LOCK.request, snapshot="2026-11-01", repositories=(TEAM,))
    archive = replace(LOCK.archives[0], name="team", key=("-----BEGIN", "", "xjMEa"))
    lock = replace(LOCK, request=request, archives=(*LOCK.archives, archive))
    assert loads(dumps(lock)) == lock
    new = [line for line in dumps(lock).splitlines() if line not in TEXT.splitlines()]
    assert new == [
        'snapshot = "2026-11-01"', "[[request.repository]]", 'name = "team"', 'url = "https://example.org/debian"',
        "components = [", '  "main",', 'key = "keys/team.asc"', f'fingerprint = "{TEAM.fingerprint}"',
        'name = "team"', "key = [", '  "-----BEGIN",', '  "",', '  "xjMEa",',
    ]  # fmt: skip


def test_another_snapshot_or_repository_makes_a_lock_stale_in_a_sentence_each() -> None:
    base = Base("debian", "13", snapshot="2026-11-01", snapshot_mirror="https://s.example.org")
    spec = Spec("demo", base, (PackageRequest("git"), PackageRequest("jq", "1.7.1-6")), PythonLibraries(("numpy>=2",)))
    assert mismatches(LOCK, spec) == (
        "base.snapshot: 2026-11-01 is in envbox.toml, not in envbox.lock",
        "base.snapshot-mirror: https://s.example.org is in envbox.toml, not in envbox.lock",
    )
    locked = replace(LOCK, request=request_of(replace(spec, repositories=(TEAM, replace(TEAM, name="old")))))
    changed = replace(TEAM, suite="forky", components=("extra", "main"))
    assert mismatches(locked, replace(spec, repositories=(replace(TEAM, name="new"), changed))) == (
        "repository: new is in envbox.toml, not in envbox.lock",
        "repository: old is in envbox.lock, not in envbox.toml",
        "repository team, suite: forky in envbox.toml, trixie in envbox.lock",
        "repository team, components: extra and main in envbox.toml, main in envbox.lock",
    )


def test_artifacts_are_sorted_whatever_order_they_came_in() -> None:
    assert Group("a", ("jq", "git"), (JQ, GIT)) == Group("a", ("git", "jq"), (GIT, JQ))
    assert dumps(replace(LOCK, groups=(Group("a", (), (GIT, JQ)),))) == dumps(
        replace(LOCK, groups=(Group("a", (), (JQ, GIT)),))
    )


def test_a_new_package_is_one_new_line_of_its_group() -> None:
    before = dumps(replace(LOCK, groups=(Group("a", (), (GIT,)),))).splitlines()
    after = dumps(replace(LOCK, groups=(Group("a", (), (GIT, JQ)),))).splitlines()
    assert [line for line in after if line not in before] == [
        line for line in TEXT.splitlines() if line.startswith('  { name = "jq"')
    ]
    assert len(after) == len(before) + 1


words = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=8).filter(
    lambda text: text.strip(".") and not re.search(r"\s", text)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64).map(Digest)
moments = st.integers(-(10**10), 10**11)
sizes = st.integers(0, 2**63)
urls = st.builds("https://{}/{}".format, words, words)
relative = st.lists(st.text(ascii_letters + digits + "+~_%", min_size=1, max_size=6), min_size=1, max_size=4).map(
    "/".join
)
names = st.sampled_from(["main", "security", "updates"])


def artifacts(archives: list[str]) -> st.SearchStrategy[tuple[Artifact, ...]]:
    absolute = st.builds(Artifact, words, words, urls, sizes, hashes)
    below = st.builds(Artifact, words, words, relative, sizes, hashes, st.sampled_from(archives or [""]))
    one = st.one_of(absolute, below) if archives else absolute
    return st.lists(one, max_size=4, unique_by=lambda artifact: artifact.name).map(tuple)


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    index = st.builds(ArchiveIndex, relative, sizes, hashes)
    indexes = st.lists(index, max_size=2, unique_by=lambda index: index.path).map(tuple)
    many = st.lists(texts, max_size=3).map(tuple)
    archive = st.builds(ArchiveState, names, urls, relative, moments, hashes, many, indexes, many)
    archives = draw(st.lists(archive, max_size=3, unique_by=lambda archive: archive.name))
    files = artifacts([archive.name for archive in archives])
    layer = st.none() | hashes
    groups = st.lists(
        st.builds(Group, words, many, files, layer, layer), max_size=3, unique_by=lambda group: group.name
    )
    library = st.builds(LibrarySet, words, texts, files, files, layer)
    libraries = st.lists(library, max_size=2, unique_by=lambda library: library.language)
    repository = st.builds(Repository, words, texts, texts, texts, texts, many)
    repositories = st.lists(repository, max_size=2, unique_by=lambda repository: repository.name).map(tuple)
    return Lock(
        recipe=draw(sizes),
        architecture=draw(st.sampled_from(Architecture)),
        epoch=draw(moments),
        request=draw(st.builds(Request, texts, many, many, *[texts] * 6, repositories)),
        archives=tuple(archives),
        groups=tuple(draw(groups)),
        libraries=tuple(draw(libraries)),
    )


@settings(max_examples=150, deadline=None)
@given(locks())
def test_every_lock_survives_its_text(lock: Lock) -> None:
    text = dumps(lock)
    assert loads(text) == lock
    assert dumps(loads(text)) == text
    assert text.endswith("\n")
    assert "\r" not in text


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_lock_is_refused_or_is_another_valid_lock(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TEXT)))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.text('0a[]{}="\n.,-#\x00é', max_size=6))
    damaged = TEXT[:start] + put + TEXT[start + length :]
    try:
        lock = loads(damaged)
    except LockInvalid:
        return
    assert loads(dumps(lock)) == lock


def line_of(text: str) -> int:
    return TEXT.split("\n").index(next(line for line in TEXT.split("\n") if line.startswith(text))) + 1


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        ('"amd64"', '"riscv64"', "architecture", 'architecture: this envbox does not know "riscv64"'),
        ("recipe = 1", "recipe = true", "recipe", "recipe: must be an integer"),
        ("recipe = 1", "recipe = -1", "recipe", "recipe: must not be negative"),
        ("recipe = 1\n", "", "", "recipe is missing"),
        ("09:46:57Z", "09:46:57", "epoch", "epoch: must be a time such as 2025-08-09T09:46:57Z"),
        ("[request]", "[request]\nspare = 1", "base", "request.spare: is not a key that an envbox.lock has here"),
        ('"http://deb', '"file:///deb', "url", "archive.url: 'file:///deb.debian.org/debian' is not an http or https URL"),
        ('"main/bin', '"../bin', "  { path", "archive.indexes.path: '../binary-amd64/Packages.xz' is not a path below"),
        ('e = "git"', 'e = "../git"', "  { name", "group.artifacts.name: '../git' is not a plain word"),
        ("size = 8862000", 'size = "8"', "  { name", "group.artifacts.size: must be an integer"),
        (f'"{A}", archive', '"sha256:12", archive', '  { name = "jq"', "group.artifacts.digest: not a sha256: '12'"),
        ('archive = "main"', 'archive = "no"', "  { name", 'group.artifacts.archive: there is no archive "no"'),
        ('"pool/main/j', '"/etc/j', '  { name = "jq"', "group.artifacts.source: '/etc/j/jq/jq_1.7.1-6_amd64.deb' is not"),
        ('"pool/main/j', '"pool/../j', '  { name = "jq"', "group.artifacts.source: 'pool/../j/"),
        ('{ name = "jq"', '{ name = "git"', '  { name = "jq"', 'group.artifacts: "git" stands twice in this list'),
        ('"packages"', '"base"', "", 'group: "base" stands twice in this list'),
        ('"https://files', '"files', '  { name = "uv"', "library.tools.source: 'files.pythonhosted.org/packages/uv-0.9.11"),
        ('  "jq",', "  1,", '  "jq",', "group.requested: must be a string"),
        ('language = "python"\n', "", "[[library]]", "library: language is missing"),
        ("format = 1\n", "", "", "it has no format number"),
    ],
)  # fmt: skip
def test_a_value_broken_by_hand_is_named_with_its_line(old: str, new: str, at: str, message: str) -> None:
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    with pytest.raises(LockInvalid) as caught:
        loads(text)
    place, _, rest = str(caught.value).partition(": ")
    assert rest.startswith(message)
    assert place == (f"envbox.lock:{line_of(at)}" if at else place)
    assert "envbox lock" in caught.value.hint


def test_a_newer_format_says_which_envbox_reads_it() -> None:
    text = TEXT.replace("format = 1", "format = 2").replace("envbox>=0.1", "envbox>=0.7") + "[[new]]\n"
    with pytest.raises(LockInvalid, match="lock format 2, and this envbox reads format 1") as caught:
        loads(text)
    assert '--upgrade "envbox>=0.7"' in caught.value.hint


def test_a_newer_lock_cannot_put_commands_into_the_hint() -> None:
    text = TEXT.replace("format = 1", "format = 2").replace("envbox>=0.1", "envbox; rm -rf ~")
    with pytest.raises(LockInvalid) as caught:
        loads(text)
    assert "rm -rf" not in caught.value.hint


def test_a_merge_conflict_is_told_as_one() -> None:
    text = TEXT.replace("recipe = 1\n", "<<<<<<< HEAD\nrecipe = 1\n=======\nrecipe = 2\n>>>>>>> theirs\n")
    with pytest.raises(LockInvalid, match=r"envbox\.lock:5: .*a merge conflict was left in it") as caught:
        loads(text)
    assert "Settle the conflict in envbox.toml" in caught.value.hint


def test_windows_line_ends_change_nothing() -> None:
    assert loads(TEXT.replace("\n", "\r\n")) == LOCK


def test_a_lock_is_loaded_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "envbox.lock"
    path.write_text(TEXT)
    assert load(str(path)) == LOCK


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no "),
        (os.mkdir, "cannot be read: Is a directory"),
        (lambda path: Path(path).write_bytes(b"a = '\xff'"), "is not UTF-8 text"),
        (lambda path: Path(path).write_bytes(b""), "it has no format number"),
    ],
)
def test_a_lock_that_cannot_be_loaded_is_a_typed_error(tmp_path: Path, make, message: str) -> None:
    path = str(tmp_path / "envbox.lock")
    make(path)
    with pytest.raises(LockInvalid, match=message) as caught:
        load(path)
    assert caught.value.hint


SPEC = Spec(
    name="demo",
    base=Base("debian", "13"),
    packages=(PackageRequest("git"), PackageRequest("jq", "1.7.1-6")),
    python=PythonLibraries(("numpy>=2",)),
)


def test_a_lock_agrees_with_the_spec_that_it_was_made_of() -> None:
    assert request_of(SPEC) == LOCK.request
    assert mismatches(LOCK, SPEC) == ()


def test_what_does_not_reach_the_root_file_system_makes_no_lock_stale() -> None:
    other = replace(
        SPEC, name="other", variables=(("A", "1"),), session=SessionOptions(shell="zsh"), sources=("r.txt",)
    )
    assert mismatches(LOCK, other) == ()


def test_the_order_of_requirements_makes_no_lock_stale() -> None:
    first = replace(SPEC, python=PythonLibraries(("numpy>=2", "pandas")))
    second = replace(SPEC, python=PythonLibraries(("pandas", "numpy>=2", "pandas")))
    assert request_of(first) == request_of(second)


def test_every_disagreement_is_a_sentence() -> None:
    spec = replace(
        SPEC,
        base=Base("debian", "12", mirror="http://mirror.example/debian", key="team.asc"),
        packages=(PackageRequest("jq", "1.6"), PackageRequest("ripgrep")),
        python=PythonLibraries(("numpy<2", "pandas[excel]>=2"), index="https://pypi.example/simple"),
    )
    assert mismatches(LOCK, spec) == (
        "base: debian:12 in envbox.toml, debian:13 in envbox.lock",
        "base.mirror: http://mirror.example/debian is in envbox.toml, not in envbox.lock",
        "base.key: team.asc is in envbox.toml, not in envbox.lock",
        "libraries.python-index: https://pypi.example/simple is in envbox.toml, not in envbox.lock",
        "packages: git is in envbox.lock, not in envbox.toml",
        "packages: jq=1.6 in envbox.toml, jq=1.7.1-6 in envbox.lock",
        "packages: ripgrep is in envbox.toml, not in envbox.lock",
        "libraries.python: numpy<2 in envbox.toml, numpy>=2 in envbox.lock",
        "libraries.python: pandas[excel]>=2 is in envbox.toml, not in envbox.lock",
    )


def test_taking_all_libraries_out_is_a_disagreement() -> None:
    assert mismatches(LOCK, replace(SPEC, python=None)) == (
        "libraries.python: numpy>=2 is in envbox.lock, not in envbox.toml",
    )


@pytest.mark.parametrize(("name", "valid"), [("é" * 127 + "x", True), ("é" * 128, False), ("..", False)])
def test_an_input_has_a_name_that_a_file_can_have(name: str, valid: bool) -> None:
    text = dumps(replace(LOCK, steps=(BuildStep("model", "make", (StepInput(name, "a", 1, A),)),)))
    if valid:
        assert loads(text).steps[0].inputs[0].name == name
    else:
        with pytest.raises(LockInvalid, match="is not a file's name"):
            loads(text)
