import os

import pytest

from envbox.store import manifest
from envbox.store.layers import Layers
from envbox.store.stack import Stack
from envbox.store.store import Store


@pytest.fixture
def layers(tmp_path):
    return Layers(Store(str(tmp_path / "store")).prepare())


def layer(layers, tmp_path, files, links=(), extra=()):
    folder = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
    for path, text in files.items():
        full = folder / "tree" / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
    (folder / "tree").mkdir(parents=True, exist_ok=True)
    for path, target in links:
        (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / path).symlink_to(target)
    entries = [*manifest.scan(str(folder / "tree"), {}), *extra]
    return layers.put(str(folder), entries)


def test_the_upper_file_is_read_and_a_whiteout_hides_the_lower(layers, tmp_path):
    lower = layer(layers, tmp_path, {"etc/a": "lower", "etc/b": "gone"})
    whiteout = manifest.Entry("etc/b", "whiteout", 0o644, 0, 0, 0)
    upper = layer(layers, tmp_path, {"etc/a": "upper"}, extra=[whiteout])
    stack = Stack(layers, [lower, upper])
    assert stack.read("etc/a") == "upper"
    assert stack.read("etc/b") == ""
    assert Stack(layers, [lower]).read("etc/b") == "gone"


def test_links_of_a_layer_never_reach_the_host(layers, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("private")
    links = [("etc/passwd", str(secret / "key")), ("etc/skel", str(secret))]
    stack = Stack(layers, [layer(layers, tmp_path, {}, links)])
    assert stack.read("etc/passwd") == ""
    assert stack.read("etc/skel/key") == ""
    assert list(stack.below("etc/skel")) == []


def test_links_to_folders_are_followed_inside(layers, tmp_path):
    stack = Stack(layers, [layer(layers, tmp_path, {"run/x": "text"}, [("var/run", "/run")])])
    assert stack.read("var/run/x") == "text"


def test_what_is_below_a_folder_comes_parents_first(layers, tmp_path):
    digest = layer(layers, tmp_path, {"etc/skel/.config/x": "1", "etc/skel/.profile": "2", "etc/skeleton": "3"})
    found = [entry.path for entry in Stack(layers, [digest]).below("etc/skel")]
    assert found == ["etc/skel/.config", "etc/skel/.config/x", "etc/skel/.profile"]
    assert os.path.isdir(layers.tree(digest))
