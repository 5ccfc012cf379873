"""The program `envbox`: enters what is built at once, and leaves everything else to the command line proper."""

from __future__ import annotations

import os
import sys

from envbox.errors import EnvboxError


def main() -> int:
    """Returns the exit status."""
    try:
        status = _enter(sys.argv[1:])
    except EnvboxError as error:
        from envbox.frontends.cli.failure import tell

        return tell(error)
    if status is not None:
        return status
    from envbox.frontends.cli.app import run

    return run()


def _enter(arguments: list[str]) -> int | None:
    """The warm path: `run [--root] [--] COMMAND...` and `shell [--root]` of an environment that is built."""
    verb, rest = (arguments[0] if arguments else ""), arguments[1:]
    if verb not in {"run", "shell"}:
        return None
    root = rest[:1] == ["--root"]
    rest = rest[1:] if root else rest
    if verb == "run":
        rest = rest[1:] if rest[:1] == ["--"] else rest
        if not rest or rest[0].startswith("-"):
            return None
    elif rest:
        return None
    from envbox import session as sessions
    from envbox.store.location import default_root

    folder = sessions.find_project(os.getcwd())
    store = default_root()
    record = sessions.load_record(store, folder) if folder else None
    if folder is None or record is None:
        return None
    session = sessions.Session(store, folder, record, root=root)
    return sessions.enter(session, rest or session.shell())


if __name__ == "__main__":
    sys.exit(main())
