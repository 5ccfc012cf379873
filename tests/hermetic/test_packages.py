"""Packages asked for that cannot be had, each told in words that help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envbox.store.removal import remove_tree
from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)


@both
def test_a_package_is_there_after_a_build(case: Case) -> None:
    case.install(DebRecipe("hello", files={"usr/bin/hello": "#!/bin/sh\necho hello\n"}))
    assert case.run("hello") == "hello\n"
    assert case.run("dpkg-query", "-W", "-f", "${Status}", "hello") == "install ok installed"
    assert not case.run("dpkg", "--audit")
    case.verify()


def test_a_new_package_runs_only_the_triggers_that_it_fires(case: Case) -> None:
    listener = DebRecipe(
        "a-listener", triggers="interest unheard\n", scripts={"postinst": "#!/bin/sh\necho $1 >>/heard\n"}
    )
    case.install(listener)
    case.debian.main.add(DebRecipe("hello"))
    case.debian.publish()
    told = case.run_as_root("sh", "-c", "dpkg --force-unsafe-io --triggers-only --pending 2>&1; cat /heard")
    assert told == "configure\n"  # without its list of deferred triggers dpkg would run all of all packages


@both
def test_every_package_that_does_not_exist_is_told_at_once_with_near_names(case: Case) -> None:
    case.add(DebRecipe("graphviz"), DebRecipe("libgraphviz-dev"))
    case.spec("grapviz", "no-such-thing", "bash")
    told = case.fails(
        "lock", code="EB-PACKAGE", status=1, parts=("no package 'grapviz'", "graphviz", "'no-such-thing'")
    )
    assert "'bash'" not in told
    assert "hint: correct `packages` in envbox.toml" in told
    assert not case.lock.exists()


def test_a_version_that_does_not_exist_is_told_with_those_that_do(case: Case) -> None:
    case.add(DebRecipe("hello", "1.0"), DebRecipe("hello", "2.0"))
    case.spec("hello=3.0")
    parts = ("hello has no version 3.0 in debian:13", "2.0", "1.0", "hint:")
    case.fails("lock", code="EB-PACKAGE", status=1, parts=parts)


def test_a_pinned_version_is_the_one_that_is_installed(case: Case) -> None:
    case.add(DebRecipe("hello", "1.0"), DebRecipe("hello", "2.0"))
    case.spec("hello=1.0")
    case.envbox("lock")
    assert case.run("dpkg-query", "-W", "-f", "${Version}", "hello") == "1.0"


def test_a_pinned_version_of_a_package_of_the_base_that_is_gone_is_told(case: Case) -> None:
    case.spec("bash=1:0.1")
    case.fails("lock", code="EB-PACKAGE", status=1, parts=("bash has no version 1:0.1", "5.2.37", "hint:"))


@both
def test_packages_in_conflict_are_told_in_the_words_of_apt(case: Case) -> None:
    case.add(DebRecipe("cat", fields={"Conflicts": "dog"}), DebRecipe("dog"))
    case.spec("cat", "dog")
    parts = ("cannot be installed together", "cat", "Conflicts", "dog", "hint: change `packages`")
    told = case.fails("lock", code="EB-CONFLICT", status=1, parts=parts)
    assert "Reading package lists" not in told


def test_a_dependency_that_no_archive_has_is_told_in_the_words_of_apt(case: Case) -> None:
    case.add(DebRecipe("hello", depends="libnowhere (>= 2)"))
    case.spec("hello")
    case.fails("lock", code="EB-CONFLICT", status=1, parts=("hello", "Depends: libnowhere (>= 2)", "not installable"))


@pytest.mark.parametrize("field", ["Conflicts", "Breaks"])
def test_a_package_that_wants_one_of_the_base_gone_is_refused(case: Case, field: str) -> None:
    case.add(DebRecipe("hermit", fields={field: "ca-certificates"}))
    case.spec("hermit")
    told = case.fails("lock", code="EB-CONFLICT", status=1, parts=("ca-certificates", "hint: change `packages`"))
    assert "hermit" in told or "conflict with the base" in told


def test_a_virtual_package_with_one_provider_is_that_provider(case: Case) -> None:
    case.add(DebRecipe("nullmailer", fields={"Provides": "my-mail-agent"}))
    case.spec("my-mail-agent")
    case.envbox("lock")
    assert case.run("dpkg-query", "-W", "-f", "${Package}", "nullmailer") == "nullmailer"


def test_a_virtual_package_with_two_providers_is_told_with_both(case: Case) -> None:
    case.add(*(DebRecipe(name, fields={"Provides": "my-mail-agent"}) for name in ("nullmailer", "anymailer")))
    case.spec("my-mail-agent")
    case.fails("lock", code="EB-CONFLICT", status=1, parts=("my-mail-agent", "nullmailer", "anymailer"))


@pytest.mark.parametrize(
    ("base", "part"),
    [
        ("debian:15", 'debian has no release "15"; there are 11, 12, 13, forky, sid'),
        ("debain:13", 'did you mean "debian:13"'),
        ("plan9:4", '"plan9" is not a known distribution'),
        ("debian", "names no release of debian"),
        ("debian:stable", 'write "debian:13"'),
    ],
)
def test_an_unknown_distribution_or_release_is_told_with_those_that_are_known(case: Case, base: str, part: str) -> None:
    case.spec(base={"name": base})
    told = case.fails("lock", code="EB-SPEC", status=1, parts=("envbox.toml", "base", part, "hint:"))
    assert not case.server.requests, told


def test_all_problems_of_a_spec_are_told_at_once_with_their_lines(case: Case) -> None:
    case.write("envbox.toml", 'base = "debian:99"\npackages = ["a b", 3]\ncolour = "red"\n[session]\nshel = "zsh"\n')
    told = case.fails("build", code="EB-SPEC", status=1, parts=("5 problems", "hint:"))
    for line, words in ((1, "99"), (2, "a b"), (3, "colour"), (5, "shel")):
        assert any(f":{line}" in text and words in text for text in told.splitlines()), told


def test_a_recommended_package_is_not_installed(case: Case) -> None:
    case.add(DebRecipe("hello", fields={"Recommends": "extra"}), DebRecipe("extra"))
    case.spec("hello")
    case.envbox("lock")
    assert [a.name for a in case.read_lock().groups[1].artifacts] == ["hello"]


def test_the_newest_version_of_all_suites_is_taken(case: Case) -> None:
    case.debian.main.add(DebRecipe("hello", "1.0"))
    case.debian.main.add(DebRecipe("hello", "1.1"), "trixie-updates")
    case.debian.security.add(DebRecipe("hello", "1.2", files={"usr/bin/hello": "#!/bin/sh\necho 1.2\n"}))
    case.debian.publish()
    case.spec("hello")
    case.envbox("lock")
    (artifact,) = case.read_lock().groups[1].artifacts
    assert (artifact.version, artifact.archive) == ("1.2", "security")
    assert case.run("hello") == "1.2\n"


@both
def test_no_program_of_an_environment_writes_the_lists_that_all_projects_share(case: Case) -> None:
    script = (
        "#!/bin/sh\ncd /run/envbox-apt; for file in lists/*Packages digests.json sources.list lists/new "
        'cache/srcpkgcache.bin cache/../sealed; do echo "# evil" >>$file; done\nexec /usr/bin/apt-get "$@"\n'
    )
    # Neither a package's apt-cache is asked to make the cache, nor can its apt-get write it.
    case.add(
        DebRecipe("evil", files={"usr/local/bin/apt-cache": script, "usr/local/bin/apt-get": script}),
        DebRecipe("hello"),
    )
    case.spec("evil")
    case.envbox("lock")
    shared = case.store / "lists-v1"
    for folder in shared.iterdir():
        remove_tree(str(folder))
    case.envbox("add", "hello")
    assert list(shared.glob("*/lists/*Packages"))
    assert list(shared.glob("*/cache-*/cache/srcpkgcache.bin"))
    texts = [path for path in shared.rglob("*") if path.is_file() and b"# evil" in path.read_bytes()]
    assert not texts
