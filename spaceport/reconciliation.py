"""What is to be done about a job whose row and execution do not agree. Pure; `reconcile_jobs` does it."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto

from spaceport.executions import MISSING, Execution
from spaceport.job import JobRecord
from spaceport.stages import Status

STOP_AGAIN_AFTER = timedelta(minutes=1)  # a stop takes seconds; its event, a few more
LOST_AFTER = timedelta(minutes=1)  # DescribeExecution may know nothing of what has just begun
# SageMaker gives a stopped job 120 s to end and then uploads what it left.
ARTIFACTS_COMPLETE_AFTER = timedelta(minutes=10)
# Programs say something every few seconds. Before that SageMaker starts a machine, which takes minutes; for
# a spot machine it may take hours, and is worth a look then.
SILENT_AFTER = timedelta(hours=2)


class Remedy(Enum):
    NOTHING = auto()
    SETTLE = auto()  # the execution is over, or lost: the row must end
    STOP = auto()  # the stop did not arrive


def remedy(row: JobRecord, execution: Execution, now: datetime) -> Remedy:
    """What `row`, which has not ended, needs, when this is how its `execution` stands.

    A start that did not arrive is made again by `dispatch_jobs`, each minute: it knows whose turn it is.
    """
    if row.status is Status.QUEUED and execution.status == MISSING:
        return Remedy.NOTHING
    if execution.status == MISSING:
        return Remedy.SETTLE if _unchanged(row, now) > LOST_AFTER else Remedy.NOTHING
    if execution.is_over:
        return Remedy.SETTLE
    if row.status is Status.STOPPING and _unchanged(row, now) > STOP_AGAIN_AFTER:
        return Remedy.STOP
    return Remedy.NOTHING


def is_silent(row: JobRecord, now: datetime) -> bool:
    """Whether a job that should be at work has said nothing for so long that it may only cost money."""
    return row.status in (Status.RUNNING, Status.STOPPING) and _unchanged(row, now) > SILENT_AFTER


def all_artifacts_are_there(ended: JobRecord, now: datetime) -> bool:
    """Whether nothing of this ended job can be uploaded any more: one more deletion is the last."""
    return _unchanged(ended, now) > ARTIFACTS_COMPLETE_AFTER


def needs_last_erasure(deleted: JobRecord, now: datetime) -> bool:
    """Whether this deleted job was erased when its tasks could still upload, and they can no more."""
    if deleted.deleted_at is None:
        return False
    erased_early = not all_artifacts_are_there(deleted, datetime.fromisoformat(deleted.deleted_at))
    return erased_early and all_artifacts_are_there(deleted, now)


def _unchanged(row: JobRecord, now: datetime) -> timedelta:
    return now - datetime.fromisoformat(row.updated_at)
