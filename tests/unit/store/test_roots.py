import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbox.store import roots
from envbox.store.roots import Root
from envbox.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store")).prepare()


@settings(deadline=None, max_examples=20)  # every file is synced
@given(st.lists(st.builds(Root, st.sampled_from(["project", "pin"]), st.text(min_size=1), st.text(), st.text())))
def test_what_is_added_is_listed_and_the_last_of_a_path_counts(tmp_path_factory, added):
    store = Store(str(tmp_path_factory.mktemp("roots"))).prepare()
    for root in added:
        roots.add(store, root)
    wanted = {(root.kind, root.path): root for root in added}
    assert roots.listed(store) == sorted(wanted.values(), key=lambda root: (root.kind, root.path))
    for root in added:
        roots.remove(store, root)
    assert roots.listed(store) == []


def test_a_root_that_is_there_already_is_not_written_again(store):
    root = Root(roots.PROJECT, "/home/me/climate")
    roots.add(store, root)
    path = store.path("roots", f"{root.name}.json")
    before = os.stat(path).st_ino
    roots.add(store, root)
    assert os.stat(path).st_ino == before


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "1", '{"kind": "pin"}', '{"kind": 1, "path": 2}', '{"more": "x"}']
)
def test_what_is_no_root_is_passed_over(store, text):
    with open(store.path("roots", "x.json"), "w") as file:
        file.write(text)
    assert roots.listed(store) == []


def test_the_file_of_a_root_is_as_documented(store):
    roots.add(store, Root(roots.PIN, "/home/me/fit.ipynb", "abc", "format = 1\n"))
    [name] = os.listdir(store.path("roots"))
    with open(store.path("roots", name)) as file:
        assert json.load(file) == {
            "kind": "pin", "path": "/home/me/fit.ipynb", "environment": "abc", "lock": "format = 1\n",
        }  # fmt: skip
