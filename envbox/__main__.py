"""The program `envbox`: enters what is built at once, and leaves everything else to the command line proper."""

from __future__ import annotations

import os
import sys

from envbox.errors import EnvboxError


def main() -> int:
    """Returns the exit status."""
    if sys.getfilesystemencoding() != "utf-8":
        # Names in packages are UTF-8 whatever the host's locale is.
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - ourselves
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_standard_files()
    try:
        status = _enter(sys.argv[1:])
    except EnvboxError as error:
        from envbox.frontends.cli.failure import tell

        return tell(error)
    except OSError as error:
        from envbox.frontends.cli.failure import tell_of_store

        return tell_of_store(error)
    except KeyboardInterrupt:
        return 130
    if status is not None:
        return status
    import gc

    gc.set_threshold(100_000)  # entries of manifests come in tens of thousands, and none of them is part of a cycle
    from envbox.frontends.cli.app import run

    return run()


def _open_standard_files() -> None:
    """Where our caller closed them: what is opened later must not take their numbers."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _enter(arguments: list[str]) -> int | None:
    """The warm path of an environment that is built: `run [--root] [--] COMMAND...`, `shell [--root]`, `build`.

    None: it is not built, or something else is asked for, and the command line proper has to look.
    """
    verb, rest = (arguments[0] if arguments else ""), arguments[1:]
    root = verb in {"run", "shell"} and rest[:1] == ["--root"]
    rest = rest[1:] if root else rest
    if verb == "run":
        rest = rest[1:] if rest[:1] == ["--"] else rest
        if not rest or rest[0].startswith("-"):
            return None
    elif verb not in {"shell", "build"} or rest:
        return None
    from envbox import session as sessions
    from envbox.store.location import default_root

    try:
        folder = sessions.find_project(os.getcwd())
    except FileNotFoundError:
        return None
    record = sessions.load_record(default_root(), folder) if folder else None
    if folder is None or record is None:
        return None
    if verb == "build":
        from envbox.frontends.cli import NOTHING_TO_DO

        print(NOTHING_TO_DO)  # noqa: T201 - the front end
        return 0
    session = sessions.Session(default_root(), folder, record, root=root)
    return sessions.enter(session, rest or session.shell())


if __name__ == "__main__":
    sys.exit(main())
