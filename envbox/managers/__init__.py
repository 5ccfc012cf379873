"""Package managers by the name that distributions use for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbox.managers.apt import Apt
from envbox.managers.manager import ArchiveRequest, GroupWork, Manager

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGERS: Mapping[str, Manager] = {"apt": Apt()}

__all__ = ["MANAGERS", "ArchiveRequest", "GroupWork", "Manager"]
