"""Where the store is. On the warm path: imports nothing that is slow to import."""

from __future__ import annotations

import os


def default_root() -> str:
    """$ENVBOX_STORE, else $XDG_DATA_HOME/envbox, else ~/.local/share/envbox."""
    chosen = os.environ.get("ENVBOX_STORE")
    if chosen:
        return os.path.abspath(chosen)
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.abspath(os.path.join(data, "envbox"))
