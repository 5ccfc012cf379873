"""No command in the documentation is there on trust."""

from __future__ import annotations

import ast
import re

import pytest

from tests.guards.pages import Block, Step, blocks, matches, pages, steps
from tests.guards.support import ROOT, tool

RUN_AS_SHOWN = (
    "docs/tutorial.md",
    "docs/how-to/add-and-update.md",
    "docs/how-to/build-steps.md",
    "docs/how-to/compare.md",
    "docs/how-to/free-disk.md",
    "docs/how-to/pin-a-version.md",
    "docs/how-to/python-libraries.md",
    "docs/how-to/share-with-the-team.md",
    "docs/how-to/verify.md",
)
"""Pages whose console blocks test_docs_run.py runs in order, comparing the output."""

COVERED = {
    "./try": "tests/guards/test_docs_run.py::test_the_first_command_works_for_a_plain_user_with_an_empty_home",
    "./check": "tests/guards/test_docs_commands.py::test_ci_runs_the_command_of_the_readme_and_nothing_else",
    './check tests/unit tests/guards -m "not real"': (
        "tests/guards/test_docs_commands.py::test_ci_runs_the_command_of_the_readme_and_nothing_else"
    ),
    "python3 -m pip install .": "tests/guards/test_docs_run.py::test_pip_installs_the_command",
    ".venv/bin/python -m benchmarks": "tests/guards/test_benchmarks.py::test_the_command_line_lists_its_cases",
    ".venv/bin/python -m benchmarks growth": "tests/guards/test_benchmarks.py::test_the_command_line_lists_its_cases",
    ".venv/bin/python -m benchmarks.page benchmarks/results/*.json": (
        "tests/guards/test_benchmarks.py::test_results_are_put_into_the_page_by_one_command"
    ),
    ".venv/bin/python -m benchmarks.identity": (
        "tests/guards/test_identity_benchmark.py::test_the_command_line_lists_its_environments"
    ),
}
"""Commands that are shown in sh blocks, each with the test that runs it."""

ADMINISTRATION = {
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    "sudo sysctl -w user.max_user_namespaces=15000",
}
"""Commands that change a host's settings: that envbox hints at each is tested in tests/unit/host/test_probe.py."""


def test_every_command_shown_is_run_by_a_test() -> None:
    unknown = []
    for page in pages():
        name = str(page.relative_to(ROOT))
        for block in blocks(page):
            if block.kind == "console" and name not in RUN_AS_SHOWN:
                unknown.append(f"{name}: console blocks of this page are not run")
            if block.kind in {"sh", "bash", "shell"}:
                lines = [line.strip() for line in block.text.splitlines() if line.strip()]
                unknown += [f"{name}: {line}" for line in lines if line not in {*COVERED, *ADMINISTRATION}]
    assert unknown == []


def test_the_table_holds_nothing_that_is_not_shown() -> None:
    shown = {
        line.strip()
        for page in pages()
        for block in blocks(page)
        if block.kind == "sh"
        for line in block.text.splitlines()
    }
    assert {*COVERED, *ADMINISTRATION} <= shown


@pytest.mark.parametrize("test", sorted(set(COVERED.values())))
def test_the_tests_named_in_the_table_exist(test: str) -> None:
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_hints_of_settings_are_those_of_the_code() -> None:
    code = (ROOT / "envbox/host/probe.py").read_text(encoding="utf-8")
    for command in ADMINISTRATION:
        assert command.removeprefix("sudo sysctl -w ") in code


def test_ci_runs_the_command_of_the_readme_and_nothing_else() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec ./check"]
    assert "```sh\n./check\n```" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert 'pytest "$@"' in (ROOT / "check").read_text(encoding="utf-8")


def test_the_reference_is_what_the_code_says() -> None:
    result = tool("docs/generate.py", "--check")
    assert result.returncode == 0, result.stderr


def test_the_troubleshooting_page_has_every_error_code() -> None:
    codes = set(re.findall(r"EB-[A-Z]+", (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")))
    headings = set(
        re.findall(
            r"^## .*(EB-[A-Z]+)", (ROOT / "docs/how-to/troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    assert headings == codes


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_can_be_reached_from_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    docs = ROOT / "docs"
    missing = [str(page.relative_to(docs)) for page in docs.rglob("*.md") if page.name != "index.md"]
    assert [name for name in missing if f"({name})" not in index] == []


def test_a_console_block_is_read_as_commands_with_their_output() -> None:
    block = Block("console", "", "$ a b\none\ntwo\n$ c\n")
    assert list(steps(block)) == [Step("a b", ("one", "two")), Step("c", ())]


@pytest.mark.parametrize(
    ("expected", "output", "same"),
    [
        (("a 1.5 s", "deadbeefdeadbeef"), "a 22.75 s\n0123456789abcdef0\n", True),
        (("a", "...", "d"), "a\nb\nc\nd\n", True),
        (("a", "...", "d"), "a\nd\n", True),
        (("a", "...", "d"), "a\nd\ne\n", False),
        (("name, ...",), "name, and more\n", True),
        ((), "surprise\n", False),
        (("a",), "", False),
    ],
)
def test_output_is_compared_but_for_numbers_and_omissions(expected: tuple[str, ...], output: str, same: bool) -> None:
    assert matches(expected, output) is same
