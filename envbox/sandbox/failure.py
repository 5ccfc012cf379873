"""Why a sandbox could not be set up. Part of the warm path: imports nothing that costs time."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class LaunchError(Exception):
    """A step of the set-up failed: `stage` is a stable phrase, `errno` the reason, `detail` the object."""

    def __init__(self, stage: str, errno: int, detail: str) -> None:
        reason = os.strerror(errno) if errno else "failed"
        super().__init__(f"{stage}: {detail}: {reason}" if detail else f"{stage}: {reason}")
        self.stage = stage
        self.errno = errno
        self.detail = detail

    def encode(self) -> bytes:
        """The form that crosses the pipe to the caller."""
        return f"{self.stage}\0{self.errno}\0{self.detail}".encode("utf-8", "surrogateescape")

    @classmethod
    def decode(cls, data: bytes) -> LaunchError:
        """The error that `encode` wrote."""
        stage, errno, detail = data.decode("utf-8", "surrogateescape").split("\0", 2)
        return cls(stage, int(errno), detail)


class Stage:
    """Turns a system call's error inside a `with` block into a LaunchError of that stage."""

    __slots__ = ("detail", "name")

    def __init__(self, name: str, detail: str = "") -> None:
        self.name = name
        self.detail = detail

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise LaunchError(self.name, error.errno or 0, self.detail) from error
        if isinstance(error, ValueError):  # a path with a NUL in it
            raise LaunchError(self.name, 22, self.detail) from error
