"""How an execution gets its job's row, and with it the plan of what to do.

An execution that `dispatch_jobs` started finds its row waiting. One started by hand gets a row of its own, or
an ended job's for doing its later steps again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spaceport.artifacts import Artifacts
from spaceport.errors import UserError
from spaceport.failure import JobOverError
from spaceport.job import JobInput, JobRecord, JobRequest, PipelineStep, empty_stages
from spaceport.jobs import Jobs
from spaceport.plan import Plan, TemplateFacts, make_plan
from spaceport.reruns import as_done
from spaceport.stages import Status

REQUEST_FIELDS = set(JobRequest.model_fields)


@dataclass(frozen=True)
class Claiming:
    """Gives executions their rows and plans."""

    jobs: Jobs
    artifacts: Artifacts
    facts: TemplateFacts

    def claim(self, given: JobInput, job_id: str, arn: str, name: str, now: str) -> Plan:
        """Make the job's row that of the execution `arn` called `name`; returns what it is to do.

        Raises:
            JobOverError: the job was stopped, or ended, while its execution was on its way.
            UserError: `foreign_image` or `foreign_s3_uri`, before any row is touched; `no_such_zip` or
                `no_artifacts` where the asked step lacks what it needs; `job_taken` where the row is another
                execution's, or over and not to be done again.
        """
        make_plan(given, job_id, self.facts)
        return self._plan_for(self._row(given, job_id, arn, name, now), given)

    def _row(self, given: JobInput, job_id: str, arn: str, name: str, now: str) -> JobRecord:
        fresh = _row_by_hand(given, job_id, arn, now)
        if self.jobs.create(fresh):
            return fresh
        row = self.jobs.get(job_id)
        if row is not None and row.belongs_to(arn, name):
            if not self.jobs.begin(row, arn, now):
                raise JobOverError(f"{job_id} is {row.status}")
            return row
        later_step = given.pipeline_step is not PipelineStep.SFM
        if row is not None and row.is_terminal and row.deleted_at is None and later_step:
            if not row.keeps_artifacts:
                raise UserError(
                    "no_artifacts",
                    f"The job {job_id} can't do its later steps again: what the others left is deleted.",
                    "Start the execution with a new jobId, at pipelineStep sfm.",
                )
            asked = as_done(row, given.pipeline_step, _request_of(given))
            again = row.reopened(given.pipeline_step, asked, now, arn)
            self._plan_for(again, given)  # a step that can't be done leaves the row as it ended
            if self.jobs.reopen(row, again):
                return again
        raise UserError(
            "job_taken",
            f"The job {job_id} has already ended, or another execution runs it.",
            "Start the execution with a new jobId; to do only an ended job's later steps again,"
            " give a later pipelineStep.",
        )

    def _plan_for(self, row: JobRecord, given: JobInput) -> Plan:
        """The plan of `row`'s run. Raises UserError `no_such_zip`, `no_artifacts`."""
        of_run = given.model_copy(update={"run": row.run})
        plan = make_plan(of_run, row.job_id, self.facts, row.model_s3_uri, row.source_digest)
        missing = self.artifacts.first_missing(plan.needed)
        if missing is None:
            return plan
        if missing == plan.zip_s3_uri:  # mistyped, deleted, or older than the bucket keeps zips
            left = row.with_all_that_is_there().next_step
            hint = (
                "Upload it; as `.zip` it is a job by itself."
                if left is PipelineStep.SFM
                else f"Begin at pipelineStep {left.value}: what it needs is there. Or upload the zip anew."
            )
            raise UserError("no_such_zip", f"There is no zip at {missing}.", hint)
        raise UserError(
            "no_artifacts",
            f"The job {row.job_id} can't begin at {plan.at.step.value}: there is no {missing}.",
            "Start it at pipelineStep sfm, or at a step whose earlier steps have finished.",
        )


def _row_by_hand(given: JobInput, job_id: str, arn: str, now: str) -> JobRecord:
    """The row of an execution that was started by hand."""
    return JobRecord(
        job_id=job_id,
        run=given.run,
        status=Status.RUNNING,  # a row that appears as QUEUED gets an execution of its own
        execution_arn=arn,
        job_name=given.name,
        email=given.email,
        source=given.zip_uri,
        request=_request_of(given),  # for a retry
        created_at=now,
        started_at=now,
        updated_at=now,
        stages=empty_stages(),
    )


def _request_of(given: JobInput) -> dict[str, Any]:
    """What the execution input asks for, as a row holds it."""
    return given.model_dump(mode="json", by_alias=True, include=REQUEST_FIELDS, exclude_none=True)
