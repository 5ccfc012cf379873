import posixpath

from hypothesis import given
from hypothesis import strategies as st

from envbox.store.manifest import Entry
from envbox.store.view import View, resolve


def entry(path, kind="file", target=""):
    return Entry(path, kind, 0o755, 0, 0, 0, target=target)


def paths(view):
    return sorted(found.path for found in view.entries())


def test_an_upper_entry_hides_the_lower_one():
    view = View([[entry("a")], [entry("a", "symlink", "b")]])
    assert view.get("a").kind == "symlink"


def test_a_whiteout_hides_a_file_and_a_whole_folder():
    lower = [entry("d", "directory"), entry("d/x"), entry("dx"), entry("f")]
    assert paths(View([lower, [entry("d", "whiteout"), entry("f", "whiteout")]])) == ["dx"]


def test_an_opaque_folder_hides_what_was_in_it_but_not_its_own_files():
    lower = [entry("d", "directory"), entry("d/x")]
    assert paths(View([lower, [entry("d", "opaque"), entry("d/y")]])) == ["d", "d/y"]


def test_a_file_over_a_folder_hides_the_folder():
    lower = [entry("d", "directory"), entry("d/x")]
    assert paths(View([lower, [entry("d")]])) == ["d"]


def test_links_to_folders_are_followed_inside_the_root():
    view = View([[entry("var", "directory"), entry("run", "directory"), entry("var/run", "symlink", "/run")]])
    assert view.canonical_folder("var/run/foo") == "run/foo"
    assert view.canonical_folder("a/b", {"a": "../../c"}) == "c/b"


def test_links_that_go_in_circles_end():
    view = View([[entry("a", "symlink", "b"), entry("b", "symlink", "a")]])
    assert view.canonical_folder("a/x") in {"a/x", "b/x"}


NAMES = st.sampled_from(["..", ".", "a", "b", ""])


@given(st.lists(NAMES, max_size=8).map("/".join), st.booleans())
def test_resolving_agrees_with_the_root_never_left(target, absolute):
    target = f"/{target}" if absolute else target
    expected = posixpath.normpath(posixpath.join("/x/y", target)).strip("/") if target else "x/y"
    assert resolve("x/y/link", target) == expected
