from dataclasses import replace

import pytest

from envbox.lock import Group, LibrarySet, Lock, Request
from envbox.plan import make_plan
from envbox.values import Architecture, Artifact, Digest


def artifact(name, digit="1", version="1"):
    return Artifact(name, version, f"pool/{name}.deb", 10, Digest(digit * 64), archive="main")


LOCK = Lock(
    1,
    Architecture.AMD64,
    1000,
    Request("debian:13", ("git",), ("numpy",)),
    (),
    (Group("base", (), (artifact("dpkg"),)), Group("packages", ("git",), (artifact("git", "2"),))),
    (LibrarySet("python", "3.13", (artifact("uv", "3"),), (artifact("numpy", "4"),)),),
)


def keys(lock):
    return [step.key for step in make_plan(lock, lambda _: None, lambda _: False).steps]


def test_a_group_has_two_layers_and_libraries_one():
    kinds = [(step.kind, step.name) for step in make_plan(LOCK, lambda _: None, lambda _: False).steps]
    assert kinds == [
        ("unpacked", "base"),
        ("configured", "base"),
        ("unpacked", "packages"),
        ("configured", "packages"),
        ("library", "python"),
    ]


def test_every_layer_has_a_key_of_its_own():
    assert len(set(keys(LOCK))) == 5


def changed(lock):
    return [before != after for before, after in zip(keys(LOCK), keys(lock), strict=True)]


def test_a_package_changes_its_group_and_those_above_but_no_library():
    base = replace(LOCK.groups[0], artifacts=(artifact("dpkg", "9"),))
    assert changed(replace(LOCK, groups=(base, LOCK.groups[1]))) == [True, True, True, True, False]
    group = replace(LOCK.groups[1], artifacts=(artifact("git", "9"),))
    assert changed(replace(LOCK, groups=(LOCK.groups[0], group))) == [False, False, True, True, False]


def test_a_library_changes_its_layer_alone():
    libraries = replace(LOCK.libraries[0], artifacts=(artifact("numpy", "9"),))
    assert changed(replace(LOCK, libraries=(libraries,))) == [False] * 4 + [True]


@pytest.mark.parametrize(
    "lock",
    [
        replace(LOCK, recipe=2),
        replace(LOCK, architecture=Architecture.ARM64),
        replace(LOCK, request=replace(LOCK.request, base="debian:12")),
    ],
)
def test_the_recipe_the_architecture_and_the_base_change_everything(lock):
    assert changed(lock) == [True] * 5


def test_recorded_digests_and_sources_change_nothing():
    group = replace(LOCK.groups[0], unpacked=Digest("a" * 64), artifacts=(replace(artifact("dpkg"), source="other"),))
    assert changed(replace(LOCK, groups=(group, LOCK.groups[1]))) == [False] * 5


def test_what_is_present_is_reused():
    present = {keys(LOCK)[0]: Digest("a" * 64)}
    plan = make_plan(LOCK, present.get, lambda _: False)
    assert [step.action for step in plan.steps] == ["reuse", "build", "build", "build", "build"]
    assert len(plan.to_build) == 4


def test_a_layer_counts_as_kept_only_if_it_is_the_one_promised():
    recorded = Digest("b" * 64)
    group = replace(LOCK.groups[0], unpacked=recorded)
    lock = replace(LOCK, groups=(group, LOCK.groups[1]))
    other = make_plan(lock, {keys(lock)[0]: Digest("a" * 64)}.get, lambda _: True).steps[0]
    assert (other.present, other.is_kept) == (Digest("a" * 64), False)
    same = make_plan(lock, {keys(lock)[0]: recorded}.get, lambda _: False).steps[0]
    assert (same.present, same.is_kept) == (recorded, True)


def test_a_promised_layer_that_came_from_elsewhere_is_reused():
    recorded = Digest("b" * 64)
    lock = replace(LOCK, groups=(replace(LOCK.groups[0], unpacked=recorded), LOCK.groups[1]))
    assert make_plan(lock, lambda _: None, {recorded}.__contains__).steps[0].present == recorded
    assert make_plan(lock, lambda _: None, lambda _: False).steps[0].present is None
