"""Writes docs/reference from the code: `python docs/generate.py`; with `--check` only tells what is out of date."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from typer.main import get_command  # noqa: E402 - the package is the one of this folder

import envbox  # noqa: E402
from envbox import errors, session, spec  # noqa: E402
from envbox.frontends.cli.app import app  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
_NOTICE = "<!-- Written by docs/generate.py. -->\n"

SPEC_KEYS = {
    "name": "What the environment is called; its host name inside. Default: the name of the project's folder.",
    "base": 'The distribution and release, `"debian:13"`, or a table with the keys of the next section. Required.',
    "packages": 'Packages by the distribution\'s own names; `"name=version"` asks for exactly that version.',
    "libraries": "A table, below.",
    "repository": "A list of tables with the keys of `repository`, below: more archives to take packages from.",
    "variables": "A table of environment variables inside: any name, always a string.",
    "step": "A list of tables, `[[step]]`, below: commands of the project's own, each a layer.",
    "session": "A table, below.",
    "sources": 'Where to look for artifacts, in order: `"mirror"`, `"snapshot"`, the URL of a cache (the folder of '
    'a store on any web server), the absolute path of another store. Default: `["mirror", "snapshot"]`.',
    "base.name": 'The distribution and release, such as `"debian:13"`. Required.',
    "base.mirror": "URL of the archive to use instead of the distribution's own.",
    "base.security-mirror": "URL of the security archive to use instead of the distribution's own.",
    "base.key": "A file in the project with the OpenPGP keys that may sign the archive besides the distribution's.",
    "base.snapshot": 'A day, such as `"2026-11-01"`, or a moment, `"2026-11-01T12:00:00Z"`: `envbox lock` solves '
    "against the archive as it was then, at the day's end.",
    "base.snapshot-mirror": "URL of the snapshot service to use instead of the distribution's own.",
    "repository.name": "What it is called: small letters, digits and `-`. Required.",
    "repository.url": "URL of the archive, the folder that has `dists/`. Required.",
    "repository.suite": "The folder in `dists/`. Required.",
    "repository.components": 'Which of the suite\'s components to take. Default: `["main"]`.',
    "repository.key": "A file in the project with the OpenPGP key that signs the repository, and no other. Required.",
    "repository.fingerprint": "The 40 digits of that key, or of the one of its subkeys that signs. Required.",
    "libraries.python": "A list of requirements (PEP 508), or a table with one of the keys of the next section.",
    "libraries.python-index": "URL of the index (PEP 503) to use instead of PyPI.",
    "libraries.python.requirements": "A requirements.txt of the project.",
    "libraries.python.project": "A pyproject.toml of the project, whose `[project] dependencies` are taken.",
    "step.name": "What it is called in envbox.lock and in messages. Required.",
    "step.run": "The command, for the root's own `sh -e`: root inside, no network, in `/`. Required.",
    "step.inputs": "A list of tables with the keys of the next section: what it finds below `/inputs`.",
    "step.inputs.url": "Where the input is downloaded from.",
    "step.inputs.sha256": "What is at the URL, by its sha256. Required with `url`.",
    "step.inputs.path": "Instead of a URL: a file or folder of the project.",
    "step.inputs.name": "What it is called below `/inputs`. Default: the last part of the URL or path.",
    "session.shell": "What `envbox shell` starts: a command's name or absolute path. Default: `bash`.",
    "session.volumes": "A list of tables with the keys of the next section.",
    "session.volumes.source": "A folder or file of the host, relative to the project, absolute, or `~/...`. Required.",
    "session.volumes.target": "The absolute path it has inside. Required.",
    "session.volumes.access": '`"read"` or `"write"`. Default: `"write"`.',
}
"""What each key means. A key of the code that is not here, or the other way round, is an error."""

OUTSIDE = {
    "ENVBOX_STORE": "The folder of the store. Default: `$XDG_DATA_HOME/envbox`, else `~/.local/share/envbox`.",
    "XDG_DATA_HOME": "Where the store is, if `ENVBOX_STORE` is not set.",
    "NO_COLOR": "If set, error messages have no colour.",
    "PATH": "Where the programs that envbox itself starts on the host are looked for.",
    "ENVBOX_SOURCES": "Sources of this host, separated by blanks, which come before those of `sources` in envbox.toml.",
    "SSL_CERT_FILE": "A file of certificate authorities to trust for https, as OpenSSL and uv know it.",
    "SSL_CERT_DIR": "A folder of certificate authorities to trust for https, as OpenSSL knows it.",
}
"""Variables of the host that envbox reads, besides those that it passes on."""

INSIDE = {
    "PATH": "The libraries' programs, if there are libraries, then Debian's usual folders.",
    "LANG": "`C.UTF-8`.",
    "HOME": "`/home/dev`, kept between sessions of one project; `/root` with `--root`.",
    "USER": "`dev`, or `root` with `--root`.",
    "LOGNAME": "As `USER`.",
    "SHELL": "The shell that envbox.toml names.",
    "ENVBOX": "The environment's name: set inside, not set outside.",
    "VIRTUAL_ENV": "Where the Python libraries are, if there are any.",
}
"""Variables that every session has, besides those of `[variables]`."""

SHARED_OPTIONS = {
    "install_completion": "Make the shell complete envbox's commands and options.",
    "show_completion": "Print what `--install-completion` would install.",
}
"""Those that typer adds, whose own help texts change with its version."""

STATUSES = {
    "0": "All is well; of `run` and `shell`: the command's own status.",
    "1": "The input asks for what cannot be.",
    "2": "The host or the network does not allow it, or the command line is wrong.",
    "3": "A promise is broken: a digest, a signature, bytes other than promised.",
    "70": "A bug of envbox, with a traceback.",
    "126": "`run`: the command is there, but cannot be executed.",
    "127": "`run`: there is no such command inside.",
    "128 + n": "`run`: signal n ended the command.",
    "130": "Interrupted by Ctrl-C.",
}


def commands() -> str:
    """Every verb with its options, from the command line itself."""
    parts = ["# Commands\n", f"{_text(app.info.help)}\n"]
    group: Any = get_command(app)
    for name, command in group.commands.items():
        prose, _, examples = inspect.cleandoc(command.help).partition("Examples:")
        parts.append(f"## envbox {name}\n\n{prose.strip()}\n")
        lines = [line.strip() for line in examples.splitlines() if line.strip()]
        parts.append("```text\n" + "\n".join(lines) + "\n```\n")
        rows = [
            (_spelling(parameter), _parameter(parameter)) for parameter in command.params if parameter.name != "help"
        ]
        if rows:
            parts.append(_table(("argument or option", "meaning"), rows))
    shared = [
        (_spelling(parameter), SHARED_OPTIONS.get(parameter.name) or _text(parameter.help))
        for parameter in group.params
    ]
    parts.append(
        "## Options of `envbox` itself\n\n"
        + _table(("option", "meaning"), [*shared, ("`-h`, `--help`", "Help, of every command.")])
    )
    parts.append("## Exit statuses\n\n" + _table(("status", "meaning"), list(STATUSES.items())))
    return "\n".join(parts)


def _spelling(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}`"
    return ", ".join(f"`{name}`" for name in sorted(names, key=len))


def _parameter(parameter: Any) -> str:
    shown = parameter.default not in (None, False) and not callable(parameter.default)
    return _text(parameter.help) + (f" Default: `{parameter.default}`." if shown else "")


def error_codes() -> str:
    """Every error with its code, from errors.py."""
    parts = ["# Errors\n", "Every error says what is wrong, where, and what mends it; scripts can rely on its code.\n"]
    kinds = [errors.UserError, errors.HostError, errors.PromiseBroken]
    for kind in kinds:
        found = [value for value in vars(errors).values() if isinstance(value, type) and value.__base__ is kind]
        rows = [(f"`{error.code}`", f"`{error.__name__}`", _text(error.__doc__)) for error in found]
        parts.append(f"## Exit status {kind.exit_status}: {_text(kind.__doc__).rstrip('.').lower()}\n")
        parts.append(_table(("code", "in Python", "meaning"), rows))
    parts.append("## Exit status 70\n\n`EB-BUG`: a bug of envbox. Please report it with the traceback it printed.\n")
    return "\n".join(parts)


def spec_keys() -> str:
    """Every key of envbox.toml, from the parser's own table and the example file."""
    known = {".".join((*table, key)) for table, keys in spec.KEYS.items() for key in keys}
    if known != set(SPEC_KEYS):
        sys.exit(f"docs/generate.py: SPEC_KEYS is wrong about {sorted(known ^ set(SPEC_KEYS))}")
    parts = ["# envbox.toml\n", "All problems of a file are reported at once, each with its line and key.\n"]
    for table, keys in spec.KEYS.items():
        parts.append(f"## {'`' + '.'.join(table) + '`' if table else 'Top level'}\n")
        parts.append(_table(("key", "meaning"), [(f"`{key}`", SPEC_KEYS[".".join((*table, key))]) for key in keys]))
    releases = [
        (f"`{distro}:{release}`", ", ".join(f"`{distro}:{name}`" for name, to in names.items() if to == release))
        for distro, names in spec.BASES.items()
        for release in dict.fromkeys(names.values())
    ]
    parts.append("## Bases\n\n" + _table(("base", "spellings"), releases))
    example = (ROOT / "envbox.toml.example").read_text(encoding="utf-8")
    parts.append(f"## An example with every key\n\n```toml\n{example.rstrip()}\n```\n")
    return "\n".join(parts)


def environment_variables() -> str:
    """What envbox reads and sets, checked against the code."""
    passed = session._PASSED  # noqa: SLF001 - the list itself is what is documented
    unknown = read_by_code() - set(OUTSIDE) - set(passed)
    if unknown:
        sys.exit(f"docs/generate.py: OUTSIDE lacks {sorted(unknown)}")
    record = {"name": "x", "path": [], "shell": "bash", "variables": {}}
    unknown = set(session.Session("", "", record).environment()) - set(INSIDE) - set(passed)
    if unknown:
        sys.exit(f"docs/generate.py: INSIDE lacks {sorted(unknown)}")
    variables = [(f"`{name}`", text) for name, text in OUTSIDE.items()]
    return "\n".join(
        [
            "# Environment variables\n",
            "## Read on the host\n",
            _table(("variable", "meaning"), variables),
            "## Passed on into sessions\n",
            "Nothing else of the host's environment is visible inside.\n",
            ", ".join(f"`{name}`" for name in passed) + "\n",
            "## Set inside\n",
            _table(("variable", "value"), [(f"`{name}`", text) for name, text in INSIDE.items()]),
            "`[variables]` in envbox.toml adds to these and wins over them.\n",
        ]
    )


def read_by_code() -> set[str]:
    """Names that envbox looks up in os.environ."""
    found = set()
    for path in (ROOT / "envbox").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node) if isinstance(node, (ast.Call, ast.Subscript, ast.Compare)) else ""
            if text.startswith(("os.environ.get(", "os.environ[", "os.getenv(")) or text.endswith("in os.environ"):
                inner = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
                found |= {
                    value for value in inner if isinstance(value, str) and value.isupper() and value.isidentifier()
                }
    return found


def python_api() -> str:
    """What `import envbox` offers, from its signatures and docstrings."""
    parts = ["# Python\n", f"```python\n{_doctest(envbox.__doc__)}\n```\n"]
    for name in envbox.__all__:
        value = getattr(envbox, name)
        if inspect.isfunction(value):
            parts.append(f"## `envbox.{name}`\n\n```python\n{name}{_signature(value)}\n```\n\n{_text(value.__doc__)}\n")
        elif inspect.isclass(value):
            parts.append(f"## `envbox.{name}`\n\n{_text(value.__doc__)}\n")
            parts.extend(_members(value))
    parts.append("The errors are listed with their codes in [errors](errors.md).\n")
    return "\n".join(parts)


def _members(cls: type) -> list[str]:
    fields = [(f"`{name}`", f"`{kind}`") for name, kind in vars(cls).get("__annotations__", {}).items()]
    if not fields:
        fields = [(f"`{name}`", f"`{kind}`") for name, kind in inspect.get_annotations(cls).items()]
    properties = [
        (f"`{name}`", _text(value.__doc__))
        for name, value in vars(cls).items()
        if isinstance(value, property) and not name.startswith("_")
    ]
    methods = [
        (f"`{name}{_signature(value)}`", _text(value.__doc__))
        for name, value in vars(cls).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]
    parts = []
    if fields:
        parts.append(_table(("field", "type"), fields))
    if properties:
        parts.append(_table(("property", "meaning"), properties))
    if methods:
        parts.append(_table(("method", "meaning"), methods))
    return parts


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    kept = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    # Annotations are text, which Python before 3.14 shows in quotes.
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature.replace(parameters=kept)))


def _doctest(text: str | None) -> str:
    lines = [line[4:] for line in (text or "").splitlines() if line.startswith(">>> ")]
    return "\n".join(["import envbox", "", *lines])


def _text(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split())


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


PAGES = {
    "commands.md": commands,
    "environment-variables.md": environment_variables,
    "errors.md": error_codes,
    "python-api.md": python_api,
    "spec.md": spec_keys,
}


def main(arguments: list[str]) -> int:
    """Returns 1 if `--check` finds a page that is out of date."""
    stale = []
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        text = _NOTICE + "\n" + page()
        path = REFERENCE / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"out of date: {', '.join(stale)}; run `python docs/generate.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
