"""Save the engine's state while it runs: MiniStack saves only when it is stopped in good order."""

from __future__ import annotations

from ministack import app
from ministack.core import persistence

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("app:_build_persistence_save_dict", "9a6393cc953d"),
    Seam("core.persistence:save_all", "ea253a04fd05"),
    Seam("core.persistence:save_state", "58a955110973"),
)


def save() -> None:
    """Write every service's state; each file is replaced as a whole, so a kill leaves the one before."""
    persistence.save_all(app._build_persistence_save_dict())
