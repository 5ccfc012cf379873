"""Language libraries as layers of their own."""

from __future__ import annotations

from envbox.libraries.python import EPOCH, PREFIX, artifacts_of, fits, install, resolve

__all__ = ["EPOCH", "PREFIX", "artifacts_of", "fits", "install", "resolve"]
