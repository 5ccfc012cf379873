"""Package managers by the name that distributions use for them."""

from __future__ import annotations

from collections.abc import Mapping

from envbox.managers.apt import Apt
from envbox.managers.manager import GroupWork, Manager

MANAGERS: Mapping[str, Manager] = {"apt": Apt()}

__all__ = ["MANAGERS", "GroupWork", "Manager"]
