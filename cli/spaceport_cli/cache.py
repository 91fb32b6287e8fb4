"""The user's cache folder, where the command keeps what it can lose."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where the XDG base directory specification puts it; it may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spaceport"
