"""A new run of a job that is over: a retry from where it got stuck, or its later steps once more.

A run that ended before it had overwritten what the runs before left takes none of it away: whoever names a
later step gets it done with that.
"""

from __future__ import annotations

from typing import Any

from spaceport.batches import must_be_job
from spaceport.errors import UserError
from spaceport.job import MAX_RUNS, JobRecord, PipelineStep
from spaceport.stage_settings import settings_of
from spaceport.stages import JOB_STAGES, Status, stage_named
from spaceport.tuning import TuningRequest


def retried(row: JobRecord, step: PipelineStep | None, changed: TuningRequest, now: str) -> JobRecord:
    """The row of a retry: the last run's request, with what is `changed` of its tuning.

    Args:
        step: where to begin; None: where the last run got stuck, or earlier where `changed` is read.

    Raises:
        UserError: `already_done` where nothing says what a completed job should do once more, `no_effect`
            where a step before `step` reads what is changed; `is_batch`; or as `rerun`.
    """
    must_be_job(row)
    fields = changed.model_dump(mode="json", exclude_none=True)
    readers = {name: _first_reader(name) for name in fields}
    stuck = [] if row.status is Status.COMPLETED else [row.next_step]
    possible = [step] if step else [*stuck, *readers.values()]
    if not possible:
        raise UserError(
            "already_done",
            f"The job {row.job_id} is completed; there is nothing to try again.",
            "To do it otherwise, give the tuning to change, or the step to begin with.",
        )
    begin = min(possible, key=_order)
    for name in fields:
        if _order(begin) > _order(_last_reader(name)):
            raise UserError(
                "no_effect",
                f"{name} changes nothing from the step {begin.value} on: an earlier one reads it.",
                f"Begin with the step {readers[name].value}.",
            )
    return rerun(row, begin, {**_asked_before(row, begin), **fields}, now)


def _asked_before(row: JobRecord, begin: PipelineStep) -> dict[str, Any]:
    """The request that what is there before `begin` was made by, and that has led to it.

    Further on than the last run got, what that one changed has come to nothing.
    """
    got_there = _order(begin) <= _order(row.next_step)
    return (row if got_there else row.with_all_that_is_there()).request


def _readers(setting: str) -> list[PipelineStep]:
    return [PipelineStep(stage.name) for stage in JOB_STAGES if setting in settings_of(stage)]


def _first_reader(setting: str) -> PipelineStep:
    return _readers(setting)[0]


def _last_reader(setting: str) -> PipelineStep:
    return _readers(setting)[-1]


def _order(step: PipelineStep) -> int:
    return stage_named(step.value).index


def rerun(row: JobRecord, step: PipelineStep, request: dict[str, Any], now: str) -> JobRecord:
    """The row of a new run that does `request` from `step` on.

    What only the steps before it read stays as it was: they are not done again.

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
        raise still_active(row)
    possible = row.with_all_that_is_there().next_step
    if _order(step) > _order(possible):
        raise no_artifacts(step, possible)
    if row.run >= MAX_RUNS:
        raise UserError(
            "too_many_runs", f"The job {row.job_id} has run {row.run} times.", "Upload the zip again."
        )
    return row.reopened(step, as_done(row, step, request), now)


def as_done(row: JobRecord, step: PipelineStep, request: dict[str, Any]) -> dict[str, Any]:
    """`request` from `step` on, with the settings of what is kept of `row`."""
    before = {name for name in TuningRequest.model_fields if _order(_last_reader(name)) < _order(step)}
    kept = {name: value for name, value in _asked_before(row, step).items() if name in before}
    return {**{name: value for name, value in request.items() if name not in before}, **kept}


def still_active(row: JobRecord) -> UserError:
    """Why what is for ended jobs can't be done with `row`."""
    return UserError(
        "job_active", f"The job {row.job_id} is {row.status}.", "Wait for its end, or stop it first."
    )


def no_artifacts(step: PipelineStep, possible: PipelineStep) -> UserError:
    """Why a job can't begin at `step`."""
    return UserError(
        "no_artifacts",
        f"The job can't begin at pipelineStep {step.value}: the steps before it have left nothing.",
        f"Start it at {possible.value}.",
    )
