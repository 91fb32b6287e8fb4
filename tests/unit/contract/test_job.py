"""Ids, names and the views of a job's row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spaceport.errors import UserError
from spaceport.job import (
    JobInput,
    JobRecord,
    Outputs,
    PipelineStep,
    StageRecord,
    empty_stages,
    job_id_for,
    now_iso,
    owner_of,
    parse_sagemaker_name,
    task_name,
)
from spaceport.plan import TemplateFacts, job_id_of, make_plan, parse_input
from spaceport.stages import COMPRESSION, DONE, SFM, STAGES, TRAINING, Status
from spaceport.updates import worth_sending

FACTS = TemplateFacts(
    *("uploads", "data", "img/sfm", "img/gaussian", "img/compressor"),
    *("ml.sfm,ml.larger", "ml.training", "ml.compression", False),
)


def row(**changes) -> JobRecord:
    now = now_iso()
    return JobRecord(job_id="job-1", created_at=now, updated_at=now, stages=empty_stages()).model_copy(
        update=changes
    )


def test_a_job_id_is_that_of_one_object_version():
    assert job_id_for("b", "k", "v1") == job_id_for("b", "k", "v1")
    assert job_id_for("b", "k", "v1") != job_id_for("b", "k", "v2")
    assert len(job_id_for("b", "k" * 900, "v")) <= 40


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        ("uploads/ann/a.zip", "ann"),
        ("uploads/a.zip", "operator"),
        ("a.ZIP", "operator"),
        ("uploads//a.zip", "operator"),
    ],
)
def test_the_key_names_the_owner(key: str, owner: str):
    assert owner_of(key) == owner


def test_sagemaker_names_are_short_enough_and_parsed_back():
    longest = task_name("a" * 40, TRAINING.name, 999) + "-99"
    assert len(longest) <= 63
    assert parse_sagemaker_name(longest) == ("a" * 40, task_name("a" * 40, TRAINING.name, 999))
    assert parse_sagemaker_name("job-3dgs-2-sfm-1-0") == ("job-3dgs-2", "job-3dgs-2-sfm-1")


@pytest.mark.parametrize("name", ["xgboost-2024-01-01", "job-sfm-1", "job-sfm-a-0", ""])
def test_other_peoples_sagemaker_jobs_are_not_ours(name: str):
    assert parse_sagemaker_name(name) is None


def test_the_status_view_carries_progress_over_all_stages():
    stages = empty_stages() | {
        SFM.name: StageRecord(started="2026-01-01T00:00:00Z", ended="2026-01-01T00:00:02.5Z")
    }
    stages[TRAINING.name].progress = 0.5
    view = row(status=Status.RUNNING, stage=TRAINING.name, stage_index=2, stages=stages).status_view()
    assert view["progress"] == pytest.approx(0.02 + 0.38 + 0.45 / 2)
    assert view["stages"]["sfm"]["seconds"] == 2.5
    assert view["stages"]["compression"]["seconds"] is None


def test_times_are_as_step_functions_writes_them():
    assert now_iso().endswith("Z")
    assert len(now_iso()) == len("2026-01-01T00:00:00.000Z")


def test_only_the_newest_progress_is_sent_but_every_change_of_stage_and_status():
    # Given one batch in which a job moves on and ends, and another job reports twice
    rows = [
        row(version=version, stage=stage.name, status=Status.RUNNING)
        for version, stage in enumerate((SFM, SFM, SFM, TRAINING, TRAINING, COMPRESSION))
    ]
    rows.append(row(version=6, stage=DONE.name, status=Status.COMPLETED))
    rows += [row(job_id="job-2", version=version, status=Status.RUNNING) for version in (3, 4)]
    # When the batch is thinned out
    sent = worth_sending(rows)
    # Then
    assert [(r.job_id, r.version) for r in sent] == [
        ("job-1", 2),
        ("job-1", 4),
        ("job-1", 5),
        ("job-1", 6),
        ("job-2", 4),
    ]


def test_a_plan_fills_what_is_missing_from_the_template():
    plan = make_plan(JobInput(s3_url="s3://uploads/x/photos.zip", run=2), "j1", FACTS)
    assert plan.zip_s3_uri == "s3://uploads/x/photos.zip"
    assert plan.training.scene_s3_uri == "s3://data/jobs/j1/colmap/dense/"
    assert plan.at.model_s3_uri == plan.gaussian_s3_uri == "s3://data/jobs/j1/gaussian/"
    assert plan.sfm.task == "j1-sfm-2"
    assert plan.compression.environment["SPACEPORT_JOB_NAME"] == "photos"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sfmImageUri", "evil/image:1"),
        ("extractorImageUri", "123456789012.dkr.ecr.us-east-1.amazonaws.com/x"),
        ("colmapOutputS3Uri", "s3://data/jobs/other/colmap/"),
        ("compressedOutputS3Uri", "s3://elsewhere/jobs/j1/compressed/"),
        ("gaussianOutputS3Uri", "s3://data/jobs/j1/../j2/"),
        ("s3Url", "s3://foreign/photos.zip"),
    ],
)
def test_a_plan_refuses_what_points_outside_the_stack_and_names_the_field(field: str, value: str):
    given = parse_input({"s3Url": "s3://uploads/photos.zip", field: value})
    with pytest.raises(UserError) as caught:
        make_plan(given, "j1", FACTS)
    assert field in caught.value.message


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ({}, "s3Url is missing"),
        ({"s3Url": "s3://uploads/a.zip", "inputS3Uri": "s3://uploads/b.zip"}, "different files"),
        ({"s3Url": "photos.zip"}, "s3Url"),
        ({"s3Url": "s3://uploads/a.zip", "max_iterations": "many"}, "max_iterations"),
        ({"s3Url": "s3://uploads/a.zip", "colour": "red"}, "colour"),
        ({"s3Url": "s3://uploads/a.zip", "jobId": "no spaces please"}, "jobId"),
    ],
)
def test_bad_execution_inputs_are_refused_by_name(raw: dict, word: str):
    with pytest.raises(UserError) as caught:
        parse_input(raw)
    assert word in caught.value.message


def test_the_job_id_falls_back_to_the_executions_name():
    assert job_id_of({"jobId": "mine"}, "run-7") == "mine"
    assert job_id_of({}, "run-7") == job_id_of([1], "run-7") == job_id_of("text", "run-7") == "run-7"
    assert len(job_id_of({}, "x" * 80)) <= 40
    assert job_id_of({"jobId": {"not": "text"}}, "run_7").startswith("job-")
    assert job_id_of({"jobId": "mine\n"}, "run-7") == "run-7"


def test_stage_indices_are_their_places():
    assert [stage.index for stage in STAGES] == list(range(len(STAGES)))


# ---- runs ----------------------------------------


ENDED = StageRecord(started="2026-01-01T00:00:00.000Z", ended="2026-01-01T00:01:00.000Z", progress=1)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({}, PipelineStep.SFM),
        ({"stages": {**empty_stages(), "sfm": ENDED}}, PipelineStep.TRAINING),
        # Training has ended, but where its model lies was never noted.
        ({"stages": {**empty_stages(), "sfm": ENDED, "3dgs": ENDED}}, PipelineStep.TRAINING),
        ({"stages": {"sfm": ENDED}, "model_s3_uri": "s3://data/model/"}, PipelineStep.COMPRESSION),
        (
            {"stages": {"sfm": ENDED}, "model_s3_uri": "s3://data/model/", "discard_artifacts": True},
            PipelineStep.SFM,
        ),
    ],
)
def test_a_retry_begins_where_the_artifacts_end(changes: dict, step: PipelineStep):
    assert row(**changes).next_step is step


def test_a_new_run_forgets_how_the_last_one_ended_and_what_it_redoes():
    last = row(
        run=3, status=Status.STOPPED, stages={"sfm": ENDED, "3dgs": ENDED}, metrics={"psnr": 20.0},
        model_s3_uri="s3://data/model/", discard_artifacts=True, task="job-1-3dgs-3", execution_arn="arn",
    )  # fmt: skip
    again = last.reopened(PipelineStep.TRAINING, {"preset": "preview"}, "2026-02-01T00:00:00.000Z")
    assert (again.run, again.version, again.status) == (4, last.version + 1, Status.QUEUED)
    assert (again.task, again.execution_arn, again.model_s3_uri) == (None, None, None)
    assert (again.discard_artifacts, again.stage_index, again.progress) == (False, 0, 0.0)
    assert again.stages == {**empty_stages(), "sfm": ENDED}
    assert again.request == {"preset": "preview", "pipelineStep": "3dgs"}


def test_the_costs_of_runs_add_up_and_an_unknown_price_stays_unknown():
    costly = ENDED.model_copy(update={"cost": 1.5})
    ended = row(status=Status.FAILED, stages={"sfm": costly, "3dgs": costly, "compression": StageRecord()})
    second = ended.reopened(PipelineStep.TRAINING, {}, "2026-02-01T00:00:00.000Z")
    assert second.earlier_costs == {"3dgs": 1.5}
    unpriced = second.model_copy(update={"stages": {"sfm": costly, "3dgs": ENDED}})
    third = unpriced.reopened(PipelineStep.SFM, {}, "2026-03-01T00:00:00.000Z")
    assert third.earlier_costs == {"sfm": 1.5, "3dgs": None}
    priced = third.model_copy(update={"stages": {"sfm": costly, "3dgs": costly}})
    fourth = priced.reopened(PipelineStep.SFM, {}, "2026-04-01T00:00:00.000Z")
    assert fourth.earlier_costs == {"sfm": 3.0, "3dgs": None}


def test_only_a_finished_runs_results_stay_until_the_next_ones():
    made = Outputs(sog="s3://data/model.sog")
    for status, stay in ((Status.COMPLETED, made), (Status.FAILED, None)):
        again = row(status=status, outputs=made).reopened(PipelineStep.SFM, {}, "2026-02-01T00:00:00.000Z")
        assert (again.outputs, again.earlier_results) == (stay, stay is not None)
    # However often it fails after that
    second = row(status=Status.COMPLETED, outputs=made).reopened(PipelineStep.SFM, {}, "2026-02-01")
    failed = second.model_copy(update={"status": Status.FAILED})
    assert failed.reopened(PipelineStep.SFM, {}, "2026-03-01").outputs == made


@pytest.mark.parametrize(
    ("claimed_by", "arn", "name", "belongs"),
    [
        (None, "arn:2", "job-1-2", True),  # waits for its second run's execution
        (None, "arn:1", "job-1-1", False),  # which the first run's is not
        (None, "arn:x", "by-hand", False),
        ("arn:2", "arn:2", "job-1-2", True),
        ("arn:x", "arn:x", "by-hand", True),
        ("arn:x", "arn:2", "job-1-2", False),
    ],
)
def test_a_row_belongs_to_one_execution(claimed_by, arn, name, belongs):
    assert row(run=2, execution_arn=claimed_by).belongs_to(arn, name) is belongs


def test_a_plan_begins_with_each_stages_first_machine():
    attempt = make_plan(JobInput(s3_url="s3://uploads/x/photos.zip"), "j1", FACTS).attempt
    assert (attempt.sfm.instance_type, attempt.sfm.instance_types) == ("ml.sfm", ("ml.sfm", "ml.larger"))
    types = (attempt.training.instance_type, attempt.compression.instance_type)
    assert types == ("ml.training", "ml.compression")
    assert not attempt.training.spot


def test_a_stack_with_spot_training_trains_on_spot_instances():
    facts = replace(FACTS, spot_training=True)
    training = make_plan(JobInput(s3_url="s3://uploads/x/photos.zip"), "j1", facts).attempt.training
    assert (training.spot, training.stopping_condition["MaxWaitTimeInSeconds"]) == (True, 86_400)


def test_only_a_job_that_waits_for_a_machine_tells_when_it_asks_again():
    at = "2026-11-23T12:34:56.000Z"
    assert row(status=Status.WAITING_CAPACITY, next_try_at=at).status_view()["nextTryAt"] == at
    assert row(status=Status.STOPPED, next_try_at=at).status_view()["nextTryAt"] is None
