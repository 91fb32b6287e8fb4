"""What is kept of an ended job, and how long. Pure; `tidy_jobs` acts by it once a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto

from spaceport.job import JobRecord
from spaceport.plan import COLMAP, EXTRACTED
from spaceport.stages import Status

# What a job's stages leave for each other, and nobody downloads: most of what a job stores.
INTERMEDIATES = (EXTRACTED, f"{COLMAP}dense/", "training/", "checkpoints/")
INTERMEDIATES_KEPT = timedelta(days=14)  # a retry may begin at a later stage until then
# Its event takes seconds, and is tried again for an hour; what failed then needs another.
ERASURE_DUE = timedelta(hours=2)


class Due(Enum):
    """What is to be done about a job today."""

    NOTHING = auto()
    INTERMEDIATES = auto()  # delete what its stages left for each other
    DELETION = auto()  # delete the job, as its owner could
    ERASURE = auto()  # it was deleted, and not all that it left could be erased


def due(row: JobRecord, now: datetime, results_kept: timedelta | None) -> Due:
    """What `row` is due for. `results_kept`: how long after a job's end it is kept; None: for ever."""
    if row.deleted_at is not None:
        overdue = now - datetime.fromisoformat(row.deleted_at) > ERASURE_DUE
        return Due.ERASURE if overdue else Due.NOTHING
    if not row.is_terminal:
        return Due.NOTHING
    ended = now - datetime.fromisoformat(row.updated_at)
    if results_kept is not None and ended > results_kept:
        return Due.DELETION
    has_intermediates = row.status is not Status.REJECTED and not row.intermediates_discarded
    return Due.INTERMEDIATES if has_intermediates and ended > INTERMEDIATES_KEPT else Due.NOTHING
