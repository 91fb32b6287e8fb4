"""Stopping a job: the row first, so that no later stage is entered, then what runs.

That it has stopped is told by the execution's end (`settle_execution`), or found by `reconcile_jobs`.
"""

from __future__ import annotations

from spaceport.batches import must_be_job
from spaceport.ending import STOPPED
from spaceport.errors import UserError
from spaceport.executions import Executions
from spaceport.job import JobRecord
from spaceport.jobs import Jobs
from spaceport.sagemaker_tasks import SageMakerTasks
from spaceport.stages import Status

CAUSE = "The job was stopped by its owner, or by an admin."
STOPS = frozenset({Status.STOPPING, Status.STOPPED})
READINGS = 5  # of a row that changes between being read and being written: it has fewer states than that


class Stopping:
    """Stops jobs, however far they are."""

    def __init__(self, jobs: Jobs, executions: Executions, sagemaker_tasks: SageMakerTasks) -> None:
        self._jobs = jobs
        self._executions = executions
        self._sagemaker_tasks = sagemaker_tasks

    def stop(self, row: JobRecord, discard_artifacts: bool, now: str) -> bool:
        """Stop the job; False where that was asked for before.

        A second stop may still ask for the deletion of what the job has made.

        Raises:
            UserError: `job_over` where it has ended otherwise, `is_batch` where it is no job,
                `has_results` where an earlier run's results would be deleted with this one's.
        """
        must_be_job(row)
        for _ in range(READINGS):
            if discard_artifacts and row.earlier_results:
                raise UserError(
                    "has_results",
                    f"What this run of the job {row.job_id} has made can't be deleted: the model that the job"
                    " had before is in the same folder.",
                    "Stop it without discarding: that model stays.",
                )
            if row.status in STOPS:
                if self._stop_again(row, discard_artifacts, now):
                    return False
            elif row.is_terminal:
                raise UserError(
                    "job_over", f"The job {row.job_id} is {row.status}.", "There is nothing to stop."
                )
            elif row.status is Status.QUEUED:
                if self._jobs.stop_queued(row.job_id, discard_artifacts, STOPPED, now):
                    return True
            elif self._jobs.request_stop(row.job_id, discard_artifacts, now):
                self.halt(self._jobs.get(row.job_id) or row)  # which may be a stage further by now
                return True
            row = self._jobs.get(row.job_id) or row
        raise UserError("job_changed", f"The job {row.job_id} has just changed.", "Look at it and try again.")

    def halt(self, row: JobRecord) -> None:
        """Stop the execution, then the stage's SageMaker job: the other way round it might be tried again."""
        if row.execution_arn is not None:
            self._executions.stop(row.execution_arn, CAUSE)
        if row.task is not None:
            self._sagemaker_tasks.stop(row.task, row.stage, row.first_attempt)

    def _stop_again(self, row: JobRecord, discard_artifacts: bool, now: str) -> bool:
        """Do what an earlier stop did not. False where the job is no longer what `row` says."""
        if row.status is Status.STOPPING:
            self.halt(row)  # the first time may have failed half-way
        if row.discard_artifacts or not discard_artifacts:
            return True
        return self._jobs.discard_artifacts(row.job_id, now)
