"""Packages asked for that cannot be had, and those that can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.debs import DebRecipe

if TYPE_CHECKING:
    from tests.hermetic.kit import Case

both = pytest.mark.parametrize("case", ["runner", "plain"], indirect=True)


@both
def test_a_package_is_there_after_a_build(case: Case) -> None:
    case.install(DebRecipe("hello", files={"usr/bin/hello": "#!/bin/sh\necho hello\n"}))
    assert case.run("hello") == "hello\n"
    assert "ok installed" in case.run("dpkg-query", "-W", "-f", "${Status}", "hello")
    case.verify()
