from dataclasses import fields, is_dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from envbox.comparison import Change, Section, compare, layer_pairs
from envbox.formats import debian_version
from envbox.lock import ArchiveIndex, ArchiveState, BuildStep, Group, LibrarySet, Lock, Request, StepInput
from envbox.spec import Repository
from envbox.values import Architecture, Artifact, Digest


def digest(number):
    return Digest(f"{number:064x}")


def artifact(name, version="1.0", number=0):
    return Artifact(name, version, f"pool/{name}.deb", 1, digest(number), "main")


BASE = Lock(
    recipe=1,
    architecture=Architecture.AMD64,
    epoch=0,
    request=Request("debian:13", ("git",), ("numpy>=2",)),
    archives=(ArchiveState("main", "http://x", "trixie", 0, digest(1), (), ()),),
    groups=(Group("base", (), (artifact("libc6"),), digest(4), digest(5)),),
)
NAMES = st.sampled_from(["a", "b", "c", "d"])
VERSIONS = st.sampled_from(["1.0", "1.0-1", "1.0~rc1", "2:0.1", "10", "9"])
ARTIFACTS = st.lists(st.builds(artifact, NAMES, VERSIONS, st.integers(0, 2)), unique_by=lambda it: it.name).map(tuple)
LOCKS = st.builds(
    lambda packages, libraries, requested, python: replace(
        BASE,
        request=replace(BASE.request, packages=tuple(requested), python=tuple(python)),
        groups=(replace(BASE.groups[0], artifacts=packages),),
        libraries=(LibrarySet("python", "3.13", (), libraries, None),) if libraries else (),
    ),
    ARTIFACTS, ARTIFACTS, st.sets(NAMES), st.sets(NAMES),
)  # fmt: skip


def by_title(before, after):
    return {section.title: section.changes for section in compare(before, after)}


@given(LOCKS)
def test_a_lock_does_not_differ_from_itself(lock):
    assert compare(lock, lock) == ()
    assert layer_pairs(lock, lock) == ()


@given(LOCKS, LOCKS)
def test_the_other_way_round_everything_is_the_other_way_round(one, other):
    turned = {"newer": "older", "older": "newer", "": ""}
    there, back = compare(one, other), compare(other, one)
    assert back == tuple(
        Section(s.title, tuple(Change(c.name, c.after, c.before, turned[c.direction]) for c in s.changes))
        for s in there
    )


@given(LOCKS, LOCKS)
def test_what_is_told_is_all_that_makes_one_lock_the_other(one, other):
    versions = {a.name: a.version for a in one.groups[0].artifacts}
    for change in by_title(one, other).get("packages", ()):
        if change.after:
            versions[change.name] = change.after.partition(" ")[0]
        else:
            del versions[change.name]
    assert versions == {a.name: a.version for a in other.groups[0].artifacts}


@given(VERSIONS, VERSIONS)
def test_the_direction_is_the_distributions_own_order(old, new):
    locks = [replace(BASE, groups=(Group("base", (), (artifact("x", version),)),)) for version in (old, new)]
    changes = by_title(*locks).get("packages", ())
    if old == new:
        assert changes == ()
    else:
        newer = debian_version.key(new) > debian_version.key(old)
        assert changes == (Change("x", old, new, "newer" if newer else "older"),)


def test_one_version_that_is_two_files_is_told_by_digests():
    after = replace(BASE, groups=(replace(BASE.groups[0], artifacts=(artifact("libc6", number=9 << 240),)),))
    [change] = by_title(BASE, after)["packages"]
    assert (change.before, change.after) == (f"1.0 ({digest(0).short})", f"1.0 ({digest(9 << 240).short})")


def test_a_newer_archive_and_another_base_are_told_before_all_else():
    after = replace(
        BASE,
        request=replace(BASE.request, base="debian:12", mirror="http://mirror"),
        archives=(replace(BASE.archives[0], date=86400),),
        steps=(BuildStep("model", "tar -xf x", (StepInput("x", "https://y/x", 1, digest(7)),)),),
    )
    sections = compare(BASE, after)
    assert [section.title for section in sections] == ["base", "archives", "steps"]
    assert sections[0].changes == (Change("mirror", "", "http://mirror"), Change("name", "debian:13", "debian:12"))
    assert sections[1].changes == (Change("main", "trixie of 1970-01-01 00:00", "trixie of 1970-01-02 00:00"),)
    assert [change.name for change in sections[2].changes] == ["model, input x", "model, order", "model, run"]


def test_what_was_asked_for_is_paired_by_name():
    after = replace(BASE, request=Request("debian:13", ("git=1.0", "jq"), ("numpy>=3", "pandas")))
    assert by_title(BASE, after)["requested"] == (
        Change("package git", "git", "git=1.0"),
        Change("package jq", "", "jq"),
        Change("python numpy", "numpy>=2", "numpy>=3"),
        Change("python pandas", "", "pandas"),
    )


def test_layers_are_paired_by_what_they_are():
    groups = (replace(BASE.groups[0], configured=digest(6)), Group("added", ("jq",), (), digest(8), None))
    pairs = layer_pairs(BASE, replace(BASE, groups=groups))
    assert [(pair.title, pair.before, pair.after) for pair in pairs] == [
        ("base, configured", digest(5), digest(6)),
        ("added, unpacked", None, digest(8)),
    ]


FULL = Lock(
    recipe=1,
    architecture=Architecture.AMD64,
    epoch=0,
    request=Request(
        "debian:13", ("git", "team-tool"), ("numpy>=2",), "https://index", "http://mirror", "http://security", "x.asc",
        "2026-11-01", "http://snapshots", (Repository("team", "https://team", "trixie", "team.asc", "A" * 40, ("main",)),),
    ),
    archives=(
        ArchiveState("main", "http://x", "trixie", 0, digest(1), ("B" * 40,), (ArchiveIndex("main/binary-amd64/x", 1, digest(2)),)),
        ArchiveState("team", "http://y", "trixie", 0, digest(3), ("A" * 40,), (ArchiveIndex("main/binary-amd64/y", 1, digest(4)),), ("xj",)),
    ),
    groups=(
        Group("base", (), (artifact("libc6"),), digest(5), digest(6)),
        Group("packages", ("git", "team-tool"), (artifact("git"), artifact("libc6", "2.0")), digest(7), digest(8)),
    ),
    libraries=(LibrarySet("python", "3.13", (artifact("uv"),), (Artifact("numpy", "2", "https://h/n", 1, digest(9)),), digest(10)),),
    steps=(BuildStep("model", "make", (StepInput("x", "https://z/x", 1, digest(11)),), digest(12)),),
)  # fmt: skip


def leaves(value, path=()):
    """Where a lock has a text, a number or a digest."""
    if isinstance(value, tuple):
        parts = enumerate(value)
    elif is_dataclass(value) and not isinstance(value, Digest):
        parts = ((field.name, getattr(value, field.name)) for field in fields(value))
    else:
        return [path]
    return [leaf for part, inner in parts for leaf in leaves(inner, (*path, part))]


def changed(value, path):
    if not path:
        if isinstance(value, Digest):  # in a digit that is not among those that are shown
            return digest(int(value.hex, 16) + 1000)
        if isinstance(value, Architecture):
            return next(other for other in Architecture if other != value)
        return value + 1 if isinstance(value, int) else f"{value}0"
    if isinstance(value, tuple):
        return tuple(changed(item, path[1:]) if number == path[0] else item for number, item in enumerate(value))
    return replace(value, **{path[0]: changed(getattr(value, path[0]), path[1:])})


@given(st.sampled_from(leaves(FULL)))
def test_whatever_one_thing_of_a_lock_is_other_is_told(path):
    other = changed(FULL, path)
    assert other != FULL
    sections = compare(FULL, other)
    assert sections or layer_pairs(FULL, other)
    for section in sections:
        assert all(change.before != change.after for change in section.changes), section


@given(st.sampled_from([path for path in leaves(FULL) if path[-1] not in {"size", "date"}]))
def test_what_decides_what_is_installed_is_told_beside_other_changes(path):
    """A date goes with what is signed then; a size without its digest makes a download fail."""
    noise = replace(FULL, groups=(*FULL.groups, Group("added", ("jq",), (artifact("jq"),))))
    other = changed(noise, path)
    assert (compare(FULL, other), layer_pairs(FULL, other)) != (compare(FULL, noise), layer_pairs(FULL, noise))


def test_nothing_of_a_lock_can_be_taken_out_or_put_in_another_order_unseen():
    for name in ("archives", "groups", "libraries", "steps"):
        values = getattr(FULL, name)
        assert compare(FULL, replace(FULL, **{name: values[1:]}))
        if len(values) > 1:
            assert compare(FULL, replace(FULL, **{name: values[::-1]}))


def test_another_address_and_another_key_of_an_archive_are_told():
    team = replace(FULL.archives[1], url="http://evil", key=("xk",), signers=("C" * 40,))
    assert [
        (change.name, change.after) for change in by_title(FULL, replace(FULL, archives=(FULL.archives[0], team)))["archives"]
    ] == [
        ("team, key", Digest.of(b"xk").short), ("team, signers", "C" * 40), ("team, url", "http://evil"),
    ]  # fmt: skip


def test_an_archive_of_another_day_is_one_line():
    later = replace(
        FULL.archives[0], date=86400, release=digest(99), indexes=(ArchiveIndex("main/binary-amd64/x", 2, digest(98)),)
    )
    changes = by_title(FULL, replace(FULL, archives=(later, FULL.archives[1])))["archives"]
    assert [change.name for change in changes] == ["main"]


def test_a_newer_library_from_another_server_is_told_with_both_servers():
    numpy = Artifact("numpy", "3", "https://evil/n", 1, digest(9))
    libraries = (replace(FULL.libraries[0], artifacts=(numpy,)),)
    assert by_title(FULL, replace(FULL, libraries=libraries)) == {
        "python libraries": (Change("numpy", "2 from https://h", "3 from https://evil", "newer"),)
    }
