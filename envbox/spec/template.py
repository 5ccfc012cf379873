from __future__ import annotations

from envbox.formats import toml

_TEMPLATE = """\
name = {name}
base = {base}

# Packages by the distribution's own names; "name=version" asks for one version.
packages = []

[libraries]
# Python libraries of PyPI, each a requirement such as "numpy>=2". Or those of a file:
# {{ requirements = "requirements.txt" }} or {{ project = "pyproject.toml" }}.
python = []

[variables]
# Environment variables inside.
# LANG = "C.UTF-8"

[session]
# What `envbox shell` starts.
shell = "bash"
# Folders of this machine, besides the project's own, which is always there.
# volumes = [{{ source = "../data", target = "/data", access = "read" }}]
"""


def template(name: str, base: str = "debian:13") -> str:
    """A commented envbox.toml to start from."""
    return _TEMPLATE.format(name=toml.scalar(name), base=toml.scalar(base))
