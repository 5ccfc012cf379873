"""What `import envbox` offers is what it says it offers."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

import envbox
from envbox import errors
from tests.guards.support import ROOT, tool


@pytest.mark.parametrize("name", envbox.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(envbox, name)
    if name != "__version__":
        assert value.__doc__
        assert value.__doc__.strip()


def test_all_lists_the_public_names_sorted_and_once() -> None:
    assert sorted(set(envbox.__all__)) == list(envbox.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = envbox.nonsense


def test_the_version_is_the_one_that_is_packaged() -> None:
    assert f'version = "{envbox.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert metadata.version("envbox") == envbox.__version__
    assert f"## {envbox.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _with_code() -> dict[str, type[errors.EnvboxError]]:
    return {name: value for name, value in vars(errors).items() if isinstance(value, type) and "code" in vars(value)}


def test_the_tree_in_the_docstring_of_errors_is_the_tree_of_classes() -> None:
    text = errors.__doc__ or ""
    drawn = dict(re.findall(r"[├└]── (\w+) +(EB-\w+)", text))
    assert {"EnvboxError": "EB-ERROR", **drawn} == {name: error.code for name, error in _with_code().items()}
    for name, status in re.findall(r"[├└]── (\w+) \((\d+)\)", text):
        assert vars(errors)[name].exit_status == int(status)


def test_codes_are_unique_and_statuses_are_the_documented_ones() -> None:
    assert len({error.code for error in _with_code().values()}) == len(_with_code())
    assert {error.exit_status for error in _with_code().values()} == {1, 2, 3, 70}


def test_import_star_works() -> None:
    result = tool("-c", "from envbox import *; print(load.__name__, Project.__name__)")
    assert result.stdout.split() == ["load", "Project"], result.stderr
