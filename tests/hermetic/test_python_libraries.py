"""Python libraries from an index of our own: what cannot be had is told in uv's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import server as faulty
from tests.support.server import Server
from tests.support.wheels import SimpleIndex, WheelRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("python_case", ["runner", "plain"], indirect=True)


class Libraries:
    """An index, and a project that takes its libraries from there."""

    def __init__(self, case: Case, index: SimpleIndex, server: Server) -> None:
        self.case = case
        self.index = index
        self.server = server

    def want(self, python: str, *recipes: WheelRecipe) -> None:
        for recipe in recipes:
            self.index.add(recipe)
        self.index.publish()
        self.case.spec(more=f'[libraries]\npython = {python}\npython-index = "{self.server.url}/simple"\n')


@pytest.fixture
def libraries(python_case: Case, tmp_path: Path) -> Iterator[Libraries]:
    index = SimpleIndex(tmp_path / "index")
    index.publish()
    with Server(index.folder) as server:
        yield Libraries(python_case, index, server)


HELLO = WheelRecipe(
    "hello", modules={"hello.py": "def main():\n    print('hello')\n"}, console_scripts={"hi": "hello:main"}
)


@both
def test_libraries_are_there_after_a_build(libraries: Libraries) -> None:
    libraries.want('["hello"]', HELLO)
    libraries.case.envbox("lock")
    assert libraries.case.run("hi") == "hello\n"
    assert libraries.case.run("python3", "-c", "import hello; hello.main()") == "hello\n"
    (artifact,) = libraries.case.read_lock().libraries[0].artifacts
    assert (artifact.name, artifact.version, artifact.size) == ("hello", "1.0", len(HELLO.build()))
    assert artifact.source == f"{libraries.server.url}/files/hello-1.0-py3-none-any.whl"
    libraries.case.verify()


@both
def test_requirements_that_contradict_each_other_are_told_in_uvs_words(libraries: Libraries) -> None:
    recipes = (
        WheelRecipe("alpha", requires=("shared<2",)),
        WheelRecipe("beta", requires=("shared>=2",)),
        WheelRecipe("shared", "1.0"),
        WheelRecipe("shared", "2.0"),
    )
    libraries.want('["alpha", "beta"]', *recipes)
    parts = ("cannot be had together", "alpha", "beta", "shared>=2", "hint: change `python` under [libraries]")
    libraries.case.fails("lock", code="EB-CONFLICT", status=1, parts=parts)
    assert not libraries.case.lock.exists()


def test_a_library_that_the_index_has_not_is_told(libraries: Libraries) -> None:
    libraries.want('["nowhere-to-be-found"]')
    told = libraries.case.fails("lock", code="EB-CONFLICT", status=1, parts=("nowhere-to-be-found", "hint:"))
    assert "not found" in told


def test_a_version_that_the_index_has_not_is_told(libraries: Libraries) -> None:
    libraries.want('["hello>=9"]', HELLO)
    libraries.case.fails("lock", code="EB-CONFLICT", status=1, parts=("hello>=9", "hint:"))


@pytest.mark.parametrize(
    "tag", ["cp39-cp39-manylinux_2_17_x86_64", "py3-none-win_amd64", "py3-none-manylinux_2_99_x86_64"]
)
def test_a_library_without_a_wheel_for_this_base_is_told(libraries: Libraries, tag: str) -> None:
    libraries.want('["hello"]', WheelRecipe("hello", modules={"hello.py": ""}, tag=tag))
    libraries.case.fails("lock", code="EB-CONFLICT", status=1, parts=("hello", "wheel", "hint:"))


def test_a_library_for_another_python_is_told(libraries: Libraries) -> None:
    libraries.want('["hello"]', WheelRecipe("hello", requires_python=">=3.99"))
    libraries.case.fails("lock", code="EB-CONFLICT", status=1, parts=("hello", "Python", "hint:"))


def test_an_index_that_is_not_there_is_told(libraries: Libraries) -> None:
    libraries.want('["hello"]', HELLO)
    libraries.server.__exit__()
    libraries.case.fails("lock", code="EB-NETWORK", status=2, parts=("hello", "hint: check the network"))


def test_a_wheel_with_other_bytes_than_the_index_promises_is_refused(libraries: Libraries) -> None:
    libraries.want('["hello"]', HELLO)
    libraries.server.fault("/files/hello-1.0-py3-none-any.whl", faulty.corrupt(times=-1))
    parts = ("hello 1.0", "other bytes than promised", "hint:")
    libraries.case.fails("lock", code="EB-ARTIFACT", status=3, parts=parts)


def test_requirements_come_from_a_file(libraries: Libraries) -> None:
    libraries.want('{ requirements = "requirements.txt" }', HELLO, WheelRecipe("other"))
    libraries.case.write("requirements.txt", "# ours\nhello==1.0 ; python_version > '3'\n-r more.txt\n")
    libraries.case.write("more.txt", "other\n")
    libraries.case.envbox("lock")
    assert [a.name for a in libraries.case.read_lock().libraries[0].artifacts] == ["hello", "other"]
    libraries.case.write("more.txt", "other>=1\n")
    libraries.case.fails("build", code="EB-STALE", status=1, parts=("libraries.python", "other>=1", "envbox lock"))


def test_requirements_come_from_a_project(libraries: Libraries) -> None:
    libraries.want('{ project = "pyproject.toml" }', HELLO)
    libraries.case.write("pyproject.toml", '[project]\nname = "x"\nversion = "1"\ndependencies = ["hello"]\n')
    libraries.case.envbox("lock")
    assert libraries.case.run("hi") == "hello\n"


def test_a_requirements_file_that_is_missing_is_told(libraries: Libraries) -> None:
    libraries.want('{ requirements = "requirements.txt" }')
    libraries.case.fails("lock", code="EB-SPEC", status=1, parts=("libraries.python", "requirements.txt", "hint:"))


def test_built_libraries_need_no_network(libraries: Libraries) -> None:
    libraries.want('["hello"]', HELLO)
    libraries.case.envbox("lock")
    digests = libraries.case.digests()
    libraries.case.forget_layers()
    libraries.case.forget_keys()
    libraries.server.__exit__()
    libraries.case.server.__exit__()
    libraries.case.umask = 0o077
    libraries.case.environment = {"TZ": "Asia/Seoul", "LANG": "ko_KR.UTF-8"}
    libraries.case.envbox("build")
    assert libraries.case.run("hi") == "hello\n"
    assert libraries.case.digests() == digests


@both
def test_libraries_are_added_and_those_locked_keep_their_version(libraries: Libraries) -> None:
    libraries.want('["hello"]', HELLO)
    case = libraries.case
    case.envbox("lock")
    libraries.index.add(WheelRecipe("hello", "9.0"))
    libraries.index.add(WheelRecipe("other", requires=("hello",)))
    libraries.index.publish()
    case.envbox("add", "--python", "other>=1")
    assert [(it.name, it.version) for it in case.read_lock().libraries[0].artifacts] == [
        ("hello", "1.0"),
        ("other", "1.0"),
    ]
    case.envbox("remove", "--python", "other")
    assert [it.name for it in case.read_lock().libraries[0].artifacts] == ["hello"]
    case.envbox("update")
    assert [it.version for it in case.read_lock().libraries[0].artifacts] == ["9.0"]


def test_a_library_that_cannot_be_had_changes_no_package(libraries: Libraries) -> None:
    libraries.want('["hello"]', HELLO)
    libraries.case.envbox("lock")
    told = libraries.case.fails(
        "add", "-p", "hello==99", "-p", "hello>1", code="EB-CONFLICT", status=1, parts=("hello",)
    )
    assert "anew" not in told


def test_a_damaged_installer_in_the_store_is_not_run(libraries: Libraries) -> None:
    """The python template's has none yet: each project unpacks its own."""
    libraries.want('["hello"]', HELLO)
    case = libraries.case
    case.envbox("lock")
    digests = case.digests()
    [tool] = (case.store / "packages-v1").glob("tool-*")
    with (tool / "tree/uv").open("r+b") as file:
        file.seek(1000)
        file.write(b"rot")
    told = case.fails("verify", code="EB-DAMAGED", status=3)
    assert "/uv: time, content" in told or "/uv: content" in told
    case.forget_layers(("layers-v1", "environments-v1"))
    case.fails(
        "build", code="EB-DAMAGED", status=3, parts=("uv", str(tool), "hint: run `envbox verify --all --repair`")
    )
    case.envbox("verify", "--repair", status=1)  # what is not built is not verified
    case.envbox("build")
    assert case.digests() == digests
    case.envbox("verify")


def test_root_and_a_plain_user_install_the_same_bytes(new_case: Any, tmp_path: Path) -> None:
    index = SimpleIndex(tmp_path / "index")
    modules = {f"many/module_{number}.py": f"NAMES = {{'a', 'b', '{number}'}}\n" for number in range(50)}
    index.add(WheelRecipe("many", modules=modules, console_scripts={"many": "many:main"}))
    index.publish()
    layers = set()
    with Server(index.folder) as server:
        for name in ("runner", "plain"):
            case = new_case(name, python=True)
            case.spec(more=f'[libraries]\npython = ["many"]\npython-index = "{server.url}/simple"\n')
            case.envbox("lock")
            layers.add(case.read_lock().libraries[0].layer)
    assert len(layers) == 1
