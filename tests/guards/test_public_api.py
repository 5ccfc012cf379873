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


def _error_classes() -> list[type[errors.EnvboxError]]:
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.EnvboxError) and value is not errors.EnvboxError
    ]


def test_the_tree_in_the_docstring_of_errors_is_the_tree_of_classes() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) +(EB-\w+)", errors.__doc__ or ""))
    leaves = {error.__name__: error.code for error in _error_classes() if not error.__subclasses__()}
    assert drawn == leaves
    statuses = dict(re.findall(r"[├└]── (\w+) \((\d+)\)", errors.__doc__ or ""))
    assert statuses == {error.__name__: str(error.exit_status) for error in _error_classes() if error.__subclasses__()}


def test_codes_are_unique_and_every_error_has_its_parents_status() -> None:
    leaves = [error for error in _error_classes() if not error.__subclasses__()]
    assert len({error.code for error in leaves}) == len(leaves)
    assert {error.exit_status for error in leaves} == {1, 2, 3}


def test_import_star_works() -> None:
    result = tool("-c", "from envbox import *; print(load.__name__, Project.__name__)")
    assert result.stdout.split() == ["load", "Project"], result.stderr
