"""Runs a step of the spec: a command of the project's own, offline, whose changes become a layer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from envbox import inputs
from envbox.build_sandbox import LIMITS
from envbox.errors import BuildFailed
from envbox.sandbox.spec import Mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from envbox.build_sandbox import BuildSandbox
    from envbox.lock import BuildStep
    from envbox.store.blobs import Blobs

_PLACE = "/inputs"
_TAIL = 30


def run_step(step: BuildStep, sandbox: BuildSandbox, blobs: Blobs, log: str, on_line: Callable[[str], None]) -> None:
    """Run the step's command by sh in the sandbox, its inputs below /inputs. Raises BuildFailed with its last lines."""
    folder = os.path.join(sandbox.work, "inputs")
    os.mkdir(folder)
    found = inputs.lay_out(step, folder, blobs, sandbox.epoch)
    binds = [Mount("bind", f"{_PLACE}/{name}", source=path, access="read") for name, path in found]
    box = sandbox.with_mounts(Mount("tmpfs", _PLACE), *binds)
    result = box.run(["sh", "-c", f'{LIMITS}; exec sh -e -c "$1"', "sh", step.run], log=log, on_line=on_line)
    if result.status != 0:
        with open(log, encoding="utf-8", errors="replace") as file:
            tail = "".join(f"  {line}" for line in file.readlines()[-_TAIL:])
        raise BuildFailed(
            f"step {step.name!r} failed with status {result.status}; its last lines:\n{tail}".rstrip(),
            hint=f"the whole log is in {log}",
        )
    _leave_no_trace(sandbox.upper)


def _leave_no_trace(upper: str) -> None:
    """The folder that the inputs were mounted on, unless the root has one of that name."""
    place = os.path.join(upper, _PLACE[1:])
    if os.path.isdir(place) and not os.path.islink(place) and not os.listdir(place):
        os.rmdir(place)
