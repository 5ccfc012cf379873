"""Reproducible environments from one TOML file.

>>> project = envbox.load()
>>> project.build()
>>> project.run(["gdalinfo", "--version"], capture=True).stdout
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["EnvboxError", "Project", "RunResult", "Status", "__version__", "load"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbox.api import EnvboxError, Project, RunResult, Status, load


def __getattr__(name: str) -> object:
    # Entering an environment must not pay for what solving and building import.
    if name in __all__:
        from envbox import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
