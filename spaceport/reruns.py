"""A new run of a job that is over: a retry from where it got stuck, or its later steps once more."""

from __future__ import annotations

from typing import Any

from spaceport.errors import UserError
from spaceport.job import MAX_RUNS, JobRecord, PipelineStep
from spaceport.stages import Status, stage_named


def retried(row: JobRecord, step: PipelineStep | None, now: str) -> JobRecord:
    """The row of a retry with the same request, from `step` or else from where the last run got stuck.

    Raises:
        UserError: `already_done`, or as `rerun`.
    """
    if row.status is Status.COMPLETED:
        raise UserError(
            "already_done",
            f"The job {row.job_id} is completed; there is nothing to try again.",
            "To do its later steps otherwise, start its zip again with a later pipelineStep.",
        )
    return rerun(row, step or row.next_step, row.request, now)


def rerun(row: JobRecord, step: PipelineStep, request: dict[str, Any], now: str) -> JobRecord:
    """The row of a new run that does `request` from `step` on.

    Raises:
        UserError: `job_active`, `rejected`, `no_artifacts`, `too_many_runs`.
    """
    if row.status is Status.REJECTED:
        raise UserError(
            "rejected",
            f"The zip of the job {row.job_id} was refused: {row.error.message if row.error else ''}",
            "Upload a mended zip: that is a new job.",
        )
    if not row.source:  # an execution whose input named no zip made the row
        raise UserError(
            "rejected", f"The job {row.job_id} never had a zip.", "Start an execution with a mended input."
        )
    if not row.is_terminal:
        raise UserError(
            "job_active", f"The job {row.job_id} is {row.status}.", "Wait for its end, or stop it first."
        )
    if stage_named(step.value).index > stage_named(row.next_step.value).index:
        raise no_artifacts(step, row.next_step)
    if row.run >= MAX_RUNS:
        raise UserError(
            "too_many_runs", f"The job {row.job_id} has run {row.run} times.", "Upload the zip again."
        )
    return row.reopened(step, request, now)


def no_artifacts(step: PipelineStep, possible: PipelineStep) -> UserError:
    """Why a job can't begin at `step`."""
    return UserError(
        "no_artifacts",
        f"The job can't begin at pipelineStep {step.value}: the steps before it have left nothing.",
        f"Start it at {possible.value}.",
    )
