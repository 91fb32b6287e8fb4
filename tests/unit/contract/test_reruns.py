"""What a job that ended may be begun with again: nothing that it has is lost, nothing that it lost is told.

Each line of the table: what the job had, what its next run did, what may be done after that.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from spaceport.errors import UserError
from spaceport.job import JobRecord, Outputs, PipelineStep, StageRecord, empty_stages
from spaceport.jobs import item_of, record_from_item
from spaceport.reruns import rerun, retried
from spaceport.stages import JOB_STAGES, Status, stage_named
from spaceport.tuning import TuningRequest

AT = "2026-01-01T00:00:00.000Z"
LATER = "2026-02-01T00:00:00.000Z"
FIRST_MODEL, SECOND_MODEL = "s3://data/jobs/j/training/1/", "s3://data/jobs/j/training/2/"
SFM, TRAINING, COMPRESSION = PipelineStep
MADE = Outputs(sog="s3://data/model.sog")
NEVER = None  # the run ended before any of its stages began


def done(cost: float | None) -> StageRecord:
    return StageRecord(started=AT, ended=AT, progress=1.0, instance="ml.x", cost=cost)


def had(*stages: str, failed_in: str | None = None) -> JobRecord:
    """A job whose first run finished these stages, each for 1 USD, or broke off in one after 0.5 USD."""
    records = {**empty_stages(), **{name: done(1.0) for name in stages}}
    if failed_in:
        records[failed_in] = StageRecord(started=AT, cost=0.5)
    complete = len(stages) == len(JOB_STAGES)
    return JobRecord(
        job_id="j",
        source="s3://uploads/j.zip",
        created_at=AT,
        updated_at=AT,
        request={"preset": "preview", "max_iterations": 100},
        status=Status.COMPLETED if complete else Status.FAILED,
        stages=records,
        outputs=MADE if complete else None,
        model_s3_uri=FIRST_MODEL if "3dgs" in stages else None,
        metrics={"photos": 7.0},
        advice=["Fly higher."],
    )


def ran(row: JobRecord, begin: PipelineStep, failed_in: str | None, **changed: object) -> JobRecord:
    """The row after a run from `begin` that broke off in a stage, after 0.25 USD, or before any."""
    again = rerun(row, begin, {**row.request, **changed}, LATER)
    again = record_from_item(item_of(again))  # as the table has it
    stages = dict(again.stages)
    model = again.model_s3_uri
    if failed_in:
        for stage in JOB_STAGES:
            if stage_named(begin.value).index <= stage.index < stage_named(failed_in).index:
                stages[stage.name] = done(1.0)
                model = SECOND_MODEL if stage.name == "3dgs" else model
        stages[failed_in] = StageRecord(started=LATER, cost=0.25)
    return again.model_copy(update={"status": Status.FAILED, "stages": stages, "model_s3_uri": model})


@dataclass(frozen=True)
class Line:
    """`goes_on`: where a retry goes on by itself. `latest`: the latest step that may be named, with `model`.

    `cost` is what all runs have cost, USD.
    """

    had: JobRecord
    begin: PipelineStep
    failed_in: str | None
    goes_on: PipelineStep
    latest: PipelineStep
    model: str | None
    cost: float


COMPLETE = had("sfm", "3dgs", "compression")
TABLE = {
    # a complete job, of which everything was to be done anew
    "the zip has expired": Line(COMPLETE, SFM, NEVER, SFM, COMPRESSION, FIRST_MODEL, 3.0),
    "SfM broke off": Line(COMPLETE, SFM, "sfm", SFM, SFM, None, 3.25),
    "training broke off after a new SfM": Line(COMPLETE, SFM, "3dgs", TRAINING, TRAINING, None, 4.25),
    "compression broke off after all else": Line(
        COMPLETE, SFM, "compression", COMPRESSION, COMPRESSION, SECOND_MODEL, 5.25
    ),
    # its training
    "stopped before training": Line(COMPLETE, TRAINING, NEVER, TRAINING, COMPRESSION, FIRST_MODEL, 3.0),
    "training broke off": Line(COMPLETE, TRAINING, "3dgs", TRAINING, COMPRESSION, FIRST_MODEL, 3.25),
    "compression broke off after a new training": Line(
        COMPLETE, TRAINING, "compression", COMPRESSION, COMPRESSION, SECOND_MODEL, 4.25
    ),
    # its compression
    "stopped before compression": Line(
        COMPLETE, COMPRESSION, NEVER, COMPRESSION, COMPRESSION, FIRST_MODEL, 3.0
    ),
    "compression broke off": Line(
        COMPLETE, COMPRESSION, "compression", COMPRESSION, COMPRESSION, FIRST_MODEL, 3.25
    ),
    # a job that has never finished
    "it had a model, and the zip has expired": Line(
        had("sfm", "3dgs", failed_in="compression"), SFM, NEVER, SFM, COMPRESSION, FIRST_MODEL, 2.5
    ),
    "it had a scene, and the zip has expired": Line(
        had("sfm", failed_in="3dgs"), SFM, NEVER, SFM, TRAINING, None, 1.5
    ),
    "it had a scene, and SfM broke off": Line(had("sfm", failed_in="3dgs"), SFM, "sfm", SFM, SFM, None, 1.75),
    "it had nothing": Line(had(failed_in="sfm"), SFM, NEVER, SFM, SFM, None, 0.5),
    "its training broke off twice": Line(
        had("sfm", failed_in="3dgs"), TRAINING, "3dgs", TRAINING, TRAINING, None, 1.75
    ),
}


def cost_of(told: dict) -> float:
    return sum(stage["cost"] or 0.0 for stage in told["stages"].values()) + sum(told["earlierCosts"].values())


@pytest.mark.parametrize("line", TABLE.values(), ids=list(TABLE))
def test_a_run_that_broke_off_takes_only_what_it_has_overwritten(line: Line):
    row = ran(line.had, line.begin, line.failed_in)
    assert row.next_step is line.goes_on
    for step in PipelineStep:
        if stage_named(step.value).index > stage_named(line.latest.value).index:
            with pytest.raises(UserError, match="can't begin at"):
                rerun(row, step, {}, LATER)
    again = rerun(row, line.latest, {}, LATER)
    assert again.model_s3_uri == (line.model if line.latest is COMPRESSION else None)
    # Then all costs are told, and each once, as the run has ended and as the next one begins
    assert cost_of(row.status_view()) == cost_of(again.status_view()) == line.cost


@pytest.mark.parametrize("line", TABLE.values(), ids=list(TABLE))
def test_however_often_it_happens_it_is_the_same(line: Line):
    row = ran(line.had, line.begin, line.failed_in)
    for _ in range(3):
        row = ran(row, line.goes_on, NEVER)
    assert row.with_all_that_is_there().next_step is line.latest
    assert cost_of(row.status_view()) == line.cost


def test_a_run_that_did_nothing_leaves_the_row_as_it_was():
    row = ran(COMPLETE, SFM, NEVER, sfm_max_size=2400)
    for field in ("stages", "metrics", "warnings", "outputs", "earlierCosts"):
        assert row.status_view()[field] == COMPLETE.status_view()[field]
    # But not while it waits or runs: what it does anew has not begun
    at_work = row.model_copy(update={"status": Status.RUNNING})
    assert at_work.status_view()["stages"]["sfm"]["started"] is None


def test_what_a_failed_run_was_to_change_is_not_said_of_what_is_there():
    row = ran(COMPLETE, SFM, NEVER, sfm_max_size=2400, crop=False)
    # Going on with it, it is still wanted
    assert retried(row, None, TuningRequest(), LATER).request["sfm_max_size"] == 2400
    # With the scene that is there, it has come to nothing
    again = retried(row, COMPRESSION, TuningRequest(lod_above=5), LATER)
    assert again.request == {
        "preset": "preview", "max_iterations": 100, "lod_above": 5, "pipelineStep": "compression"
    }  # fmt: skip


@pytest.mark.parametrize("gone", ["discard_artifacts", "discard_intermediates"])
def test_what_was_deleted_is_not_there(gone: str):
    row = ran(COMPLETE, SFM, NEVER).model_copy(update={gone: True})
    with pytest.raises(UserError, match="can't begin at"):
        rerun(row, COMPRESSION, {}, LATER)
    assert rerun(row, SFM, {}, LATER).laid_aside is None


def test_results_keep_their_numbers_when_what_led_to_them_is_tidied_away():
    row = ran(COMPLETE, SFM, NEVER).model_copy(update={"discard_intermediates": True})
    for field in ("stages", "metrics", "warnings", "outputs", "earlierCosts"):
        assert row.status_view()[field] == COMPLETE.status_view()[field]
    # And a new run pays for nothing twice
    again = rerun(row, SFM, {}, LATER)
    assert again.earlier_costs == {stage.name: 1.0 for stage in JOB_STAGES}


def test_a_model_of_before_is_not_the_jobs_once_it_has_another():
    row = ran(COMPLETE, TRAINING, "compression")
    assert rerun(row, COMPRESSION, {}, LATER).model_s3_uri == SECOND_MODEL
    finished = row.model_copy(update={"status": Status.COMPLETED})
    assert finished.with_all_that_is_there() is finished


def test_what_retries_changed_is_told_beside_what_it_was():
    assert COMPLETE.status_view()["retuned"] == {}
    changed = retried(COMPLETE, None, TuningRequest(crop=False, max_iterations=200), LATER)
    crop = {"was": True, "now": False}
    iterations = {"was": 100, "now": 200}
    assert changed.retuned == {"max_iterations": iterations, "crop": crop}
    # However often, and whatever is changed back
    ended = changed.model_copy(update={"status": Status.FAILED})
    assert retried(ended, None, TuningRequest(crop=True), LATER).retuned == {"max_iterations": iterations}
    # A setting whose default is the photos' has none
    assert retried(ended, None, TuningRequest(holdout=4), LATER).retuned["holdout"] == {"was": None, "now": 4}


def test_settings_of_steps_that_are_not_done_again_stay_what_they_were():
    asked = {"preset": "preview", "max_iterations": 9000, "lod_above": 5}
    assert rerun(COMPLETE, COMPRESSION, asked, LATER).request == {
        "preset": "preview", "max_iterations": 100, "lod_above": 5, "pipelineStep": "compression"
    }  # fmt: skip
