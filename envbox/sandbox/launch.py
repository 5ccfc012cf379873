"""`python -I -S launch.py SPEC.json ERROR_FILE [CALLER]`: one launch in a process of its own.

For callers with several threads, and for those that capture output. Exits with the command's status; if a
step of the set-up fails, ERROR_FILE receives one JSON line {"stage", "errno", "detail"}, the status is 125.
"""

from __future__ import annotations

import os
import sys

SETUP_FAILED = 125


def command(spec_path: str, error_path: str) -> list[str]:
    """The argv that runs the spec written to `spec_path`."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), spec_path, error_path, str(os.getpid())]


def main(spec_path: str, error_path: str, caller: str = "") -> int:
    """Launches, and reports a failure of the set-up in `error_path`. Ends, with all inside, when its parent does."""
    import json

    from envbox.sandbox.native import LaunchError, launch
    from envbox.sandbox.syscalls import die_with_parent

    die_with_parent()
    if caller and os.getppid() != int(caller):
        return SETUP_FAILED  # the caller was gone before we could ask to be told
    with open(spec_path, encoding="utf-8") as file:
        spec = json.load(file)
    try:
        return launch(spec)
    except LaunchError as error:
        report = {"stage": error.stage, "errno": error.errno, "detail": error.detail}
        with open(error_path, "w", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")
        return SETUP_FAILED


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    os._exit(main(*sys.argv[1:]))
