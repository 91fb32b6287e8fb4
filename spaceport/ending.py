"""How a job ends whose execution ended without a word: a stop, a time-out, an engine that restarted.

Pure; `settle_execution` hears of them by event, `reconcile_jobs` looks for those that no event told of.
"""

from __future__ import annotations

from spaceport.errors import ErrorText
from spaceport.executions import MISSING, Execution
from spaceport.failure import explain
from spaceport.job import JobRecord
from spaceport.stages import Status

STOPPED = ErrorText("stopped", "The job was stopped.", "Go on with it by `spaceport retry`, if you like.")


def ending(row: JobRecord, execution: Execution) -> tuple[Status, ErrorText]:
    """The terminal status that `row` takes now that its `execution` is over, and why.

    A job that was being stopped is STOPPED however its execution ended: that was asked for.
    """
    if row.status is Status.STOPPING or execution.status == "ABORTED":
        return Status.STOPPED, STOPPED
    if execution.status == MISSING:
        return Status.FAILED, ErrorText(
            "lost", "The job was lost: nothing runs it any more.", "Go on with it by `spaceport retry`."
        )
    if execution.status == "SUCCEEDED":
        return Status.FAILED, ErrorText(
            "fault", "The job's execution ended, but its result was not published.", "Retry the job."
        )
    error = "States.Timeout" if execution.status == "TIMED_OUT" else execution.error or "States.Runtime"
    return Status.FAILED, explain(error, execution.cause, row.message)
