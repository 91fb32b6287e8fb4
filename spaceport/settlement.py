"""Ending the row of an execution that is over, with all that belongs to it.

`settle_execution` does it when it hears of the end, `reconcile_jobs` where nobody did.
"""

from __future__ import annotations

from dataclasses import dataclass

from spaceport import metering
from spaceport.artifacts import Artifacts
from spaceport.ending import ending
from spaceport.executions import Execution
from spaceport.job import JobRecord
from spaceport.jobs import Jobs
from spaceport.partial import PartialResults
from spaceport.prices import bill_of
from spaceport.sagemaker_tasks import SageMakerTasks


@dataclass(frozen=True)
class Settlement:
    """The stores that a job's end touches."""

    jobs: Jobs
    tasks: SageMakerTasks
    artifacts: Artifacts

    def settle(self, row: JobRecord, execution: Execution, now: str) -> bool:
        """End `row`, whose `execution` is over. False where somebody else has ended it.

        Step Functions stops the SageMaker job of a stopped execution as well as it can; this makes sure.
        The row comes last but for the deletion: where a call before it fails, the next try begins again,
        and a deletion that fails is the reconciler's to repeat.
        """
        if row.task is not None:
            self.tasks.stop(row.task, row.stage, row.first_attempt)
        status, error = ending(row, execution)
        left = PartialResults(self.artifacts).of(row)
        bill = bill_of(row, execution.arn, now)
        if not self.jobs.settle(row, execution.arn, status, error, now, costs=bill.stages, outputs=left):
            return False
        metering.job_ended(row, status, bill, error.code)
        if row.discard_artifacts:
            self.artifacts.discard(row.job_id)
        return True
