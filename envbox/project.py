"""Where a project is: the folder of the nearest envbox.toml."""

from __future__ import annotations

import os

from envbox.errors import ProjectNotFound
from envbox.session import SPEC_NAME, find_project

_TOP = ("bin", "boot", "dev", "etc", "home", "lib", "lib64", "opt",
        "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var")  # fmt: skip
_TAKEN = frozenset({"/", "/home/dev", "/opt/envbox", "/opt/envbox/python", *(f"/{name}" for name in _TOP)})
_KERNEL = ("/proc/", "/sys/", "/dev/")


def locate(path: str) -> str:
    """The project's folder, from a folder in or below it, or its envbox.toml. Raises ProjectNotFound."""
    try:
        start = os.path.realpath(path)
    except FileNotFoundError as error:
        raise ProjectNotFound("the folder that you are in is gone", hint="go to another with `cd`") from error
    folder = find_project(os.path.dirname(start) if os.path.isfile(start) else start)
    if folder is None:
        raise ProjectNotFound(
            f"there is no {SPEC_NAME} in {start} or any folder above it", hint="run `envbox init` to write one"
        )
    if folder in _TAKEN or folder.startswith(_KERNEL):
        raise ProjectNotFound(
            f"a project cannot be in {folder}: it would hide what an environment has there",
            hint="move it to a folder of its own",
        )
    return folder
