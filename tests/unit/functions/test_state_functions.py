"""PrepareJob, RecordProgress, PublishResult, RecordFailure: each against a real row in moto's DynamoDB."""

from __future__ import annotations

import base64
import gzip
import io
import json
import time
from datetime import UTC, datetime, timedelta
from math import isnan
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError

from spaceport import report_times
from spaceport.archive import DIGEST_VARIABLE, inspect
from spaceport.delivered import Delivered
from spaceport.errors import ErrorText
from spaceport.executions import execution_input
from spaceport.failure import JobOverError, RefusedError
from spaceport.job import (
    JobRecord,
    Outputs,
    PipelineStep,
    StageRecord,
    empty_stages,
    now_iso,
    task_name,
)
from spaceport.pictures import HELD_OUT, THUMBNAIL, VIDEO
from spaceport.plan import Plan
from spaceport.prices import ON_DEMAND
from spaceport.progress import ProgressLine
from spaceport.quality import QUALITY_REPORT, QualityReport
from spaceport.stages import SFM, Status

ZIP = "s3://uploads-bucket/a.zip"
IMAGES = {
    "SFM_IMAGE_URI": "spaceport/sfm:latest",
    "GAUSSIAN_IMAGE_URI": "spaceport/gaussian:latest",
    "COMPRESSOR_IMAGE_URI": "spaceport/compressor:latest",
}
MACHINES = {
    "SFM_INSTANCE_TYPES": "ml.c6i.4xlarge,",
    "TRAINING_INSTANCE_TYPES": "ml.g4dn.xlarge,ml.g5.xlarge",
    "COMPRESSION_INSTANCE_TYPES": "ml.c6i.4xlarge,",
    "SPOT_TRAINING": "true",
}
ARN = "arn:aws:states:eu-west-1:123456789012:execution:pipeline:job-1-1"


@pytest.fixture
def queued(aws) -> JobRecord:
    now = now_iso()
    record = JobRecord(job_id="job-1", created_at=now, updated_at=now, stages=empty_stages())
    assert aws.jobs.create(record)
    return record


def enter_sfm(job_id: str = "job-1") -> None:
    """What the state machine's EnterSfM writes."""
    boto3.resource("dynamodb").Table("jobs").update_item(
        Key={"jobId": job_id},
        UpdateExpression="SET #s = :r, stage = :g, stageIndex = :i, task = :t ADD version :one",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={
            ":r": "RUNNING",
            ":g": SFM.name,
            ":i": SFM.index,
            ":t": task_name(job_id, SFM.name, 1),
            ":one": 1,
        },
    )


@pytest.fixture(autouse=True)
def uploaded(aws) -> None:
    """The zip that the executions of these tests name."""
    boto3.client("s3").put_object(Bucket=aws.uploads_bucket, Key="a.zip", Body=b"photos")


def prepare(load, context, given: dict[str, Any], name: str = "job-1-1", arn: str = ARN) -> dict[str, Any]:
    handler = load("prepare_job", **IMAGES, **MACHINES).handler
    return handler({"input": given, "executionArn": arn, "executionName": name}, context)


def log_event(stream: str, *messages: str) -> dict[str, Any]:
    data = {
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "/aws/sagemaker/ProcessingJobs",
        "logStream": stream,
        "subscriptionFilters": ["f"],
        "logEvents": [{"id": str(i), "timestamp": i, "message": m} for i, m in enumerate(messages)],
    }
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()}}


# ---- PrepareJob ----------------------------------------


def test_prepare_claims_the_queued_row_and_lays_out_the_plan(aws, load, context, queued):
    plan = prepare(load, context, {"jobId": "job-1", "s3Url": ZIP, "preset": "preview"})
    assert Plan.model_validate(plan).sfm.environment["SPACEPORT_PRESET"] == "preview"
    row = aws.jobs.get("job-1")
    assert row is not None
    assert (row.status, row.execution_arn, row.version) == (Status.RUNNING, ARN, 2)


def test_sfm_is_told_which_zip_was_looked_at(aws, load, context, photo_zip):
    # Given a dropped zip, whose key has another zip by the time that its job begins
    job_id = load("ingest_upload").handler(aws.drop("b.zip", photo_zip), context)["jobId"]
    aws.drop("b.zip", b"another")
    # When
    given = {"jobId": job_id, "s3Url": f"s3://{aws.uploads_bucket}/b.zip"}
    plan = prepare(load, context, given, name=f"{job_id}-1")
    # Then
    looked_at = inspect(io.BytesIO(photo_zip), "b.zip").digest
    assert plan["sfm"]["environment"][DIGEST_VARIABLE] == looked_at


def test_prepare_makes_the_row_of_an_execution_started_by_hand(aws, load, context):
    prepare(load, context, {"s3Url": ZIP, "preset": "preview", "holdout": 5}, name="my-own-run")
    row = aws.jobs.get("my-own-run")
    assert row is not None
    assert (row.owner, row.status) == ("operator", Status.RUNNING)
    # And a retry of it would do what was asked for
    again = execution_input(row)
    assert (again.preset, again.holdout) == ("preview", 5)


def test_a_job_by_hand_is_named_as_its_zip_and_can_be_tried_again_whatever_that_is(aws, load, context):
    # Given an execution by hand of a zip whose name is longer than a job's may be
    key = f"uploads/{'n' * 300}.zip"
    boto3.client("s3").put_object(Bucket=aws.uploads_bucket, Key=key, Body=b"photos")
    plan = prepare(load, context, {"s3Url": f"s3://{aws.uploads_bucket}/{key}"}, name="my-own-run")
    # Then its row, its report and a retry's execution have the beginning of it
    row = aws.jobs.get("my-own-run")
    assert row.job_name == plan["compression"]["environment"]["SPACEPORT_JOB_NAME"] == "n" * 200
    assert execution_input(row).job_name == row.job_name


def test_a_row_that_an_execution_makes_is_never_in_the_queue(aws, load, context):
    # Given an execution started by hand, and one that fails before it has a row
    prepare(load, context, {"s3Url": ZIP}, name="my-own-run")
    fail(load, context, "boom", name="bad-input", job_id=None)
    # Then DispatchJobs, which starts whatever appears as QUEUED, sees neither
    inserted = [record["dynamodb"]["NewImage"] for record in aws.stream() if record["eventName"] == "INSERT"]
    assert [image["jobId"]["S"] for image in inserted] == ["my-own-run", "bad-input"]
    assert [image["status"]["S"] for image in inserted] == ["RUNNING", "RUNNING"]


def test_prepare_is_repeatable_for_its_own_execution_and_refuses_another(load, context, queued):
    given = {"jobId": "job-1", "s3Url": ZIP}
    assert prepare(load, context, given) == prepare(load, context, given)
    with pytest.raises(RefusedError, match="job_taken"):
        prepare(load, context, given, arn=ARN + "0")


def test_prepare_refuses_a_foreign_image_by_name(load, context, queued):
    with pytest.raises(RefusedError, match="gaussianImageUri"):
        prepare(load, context, {"s3Url": ZIP, "gaussianImageUri": "evil:1"})


@pytest.mark.parametrize("name", ["job-1-1", "by-hand"])
def test_a_zip_that_is_not_there_is_the_users_to_mend(aws, load, context, queued, name):
    # Given an execution whose zip is not there: mistyped by hand, or expired before a retry
    given = {"s3Url": f"s3://{aws.uploads_bucket}/gone.zip"} | (
        {"jobId": "job-1"} if name == "job-1-1" else {}
    )
    # When it begins, and fails with what Lambda tells of that
    with pytest.raises(RefusedError, match="no_such_zip") as refused:
        prepare(load, context, given, name)
    cause = json.dumps({"errorType": "RefusedError", "errorMessage": str(refused.value)})
    assert fail(load, context, cause, name, given=given)["recorded"]
    # Then its row says so, and what to do
    row = aws.jobs.get("job-1" if name == "job-1-1" else name)
    assert (row.status, row.error.code) == (Status.FAILED, "no_such_zip")
    assert "gone.zip" in row.error.message
    assert "Upload" in row.error.hint


@pytest.mark.parametrize("given", [[1], "text", 7, None, {}, {"s3Url": ZIP, "colour": "red"}])
def test_an_input_that_can_not_be_used_is_told_in_a_row_of_the_executions_name(aws, load, context, given):
    # Given an execution by hand whose input PrepareJob refuses
    with pytest.raises(RefusedError, match="bad_input") as refused:
        prepare(load, context, given, name="by-hand")
    # When the state machine goes on to RecordFailure with that, as Lambda tells it
    cause = json.dumps({"errorType": "RefusedError", "errorMessage": str(refused.value)})
    told = fail(load, context, cause, name="by-hand", given=given)
    # Then there is a row that says so
    assert (told["code"], told["recorded"]) == ("bad_input", True)
    row = aws.jobs.get("by-hand")
    assert row is not None
    assert row.error is not None
    assert (row.status, row.error.code) == (Status.FAILED, "bad_input")


@pytest.mark.parametrize("status", [Status.STOPPING, Status.STOPPED, Status.FAILED, Status.COMPLETED])
@pytest.mark.parametrize("claimed", [True, False])
def test_prepare_leaves_a_job_that_is_over_to_whoever_ended_it(aws, load, context, status, claimed):
    now = now_iso()
    row = JobRecord(job_id="job-1", status=status, created_at=now, updated_at=now)
    aws.jobs.create(row.model_copy(update={"execution_arn": ARN if claimed else None}))
    with pytest.raises(JobOverError, match=status.value):
        prepare(load, context, {"jobId": "job-1", "s3Url": ZIP})
    assert aws.jobs.get("job-1").version == 1


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("step", ["sfm", "3dgs"])
def test_an_execution_by_hand_takes_no_job_that_is_another_ones(aws, load, context, status, step):
    # Given a job that waits for its own execution, or runs, or ended; nothing lies in its folder
    now = now_iso()
    arn = None if status is Status.QUEUED else ARN
    aws.jobs.create(
        JobRecord(job_id="job-1", status=status, created_at=now, updated_at=now, execution_arn=arn)
    )
    # When an execution by hand names it
    with pytest.raises(RefusedError, match=r"job_taken|no_artifacts"):
        prepare(load, context, {"jobId": "job-1", "s3Url": ZIP, "pipelineStep": step}, "by-hand", ARN + "0")
    # Then the row stays as it is
    assert (aws.jobs.get("job-1").status, aws.jobs.get("job-1").version) == (status, 1)


def leave(aws, *keys: str) -> None:
    """Artifacts of job-1."""
    for key in keys:
        boto3.client("s3").put_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/{key}", Body=b"x")


@pytest.mark.parametrize(
    ("step", "model", "artifacts"),
    [
        ("3dgs", None, ["colmap/sfm.json"]),
        ("compression", "training/output/model/", ["training/output/model/model.ply"]),
        ("compression", None, ["gaussian/model.ply"]),
    ],
)  # fmt: skip
def test_an_execution_by_hand_does_an_ended_jobs_later_steps_again(
    aws, load, context, step, model, artifacts
):
    # Given a finished job whose artifacts are there
    home, now = f"s3://{aws.data_bucket}/jobs/job-1/", now_iso()
    ended = JobRecord(
        job_id="job-1", status=Status.COMPLETED, created_at=now, updated_at=now, owner="ann",
        execution_arn=ARN, model_s3_uri=model and home + model, stages=empty_stages(),
    )  # fmt: skip
    aws.jobs.create(ended)
    leave(aws, "colmap/sfm.json", *artifacts)
    # When an execution by hand begins at a later step
    plan = prepare(
        load, context, {"jobId": "job-1", "s3Url": ZIP, "pipelineStep": step}, "by-hand", ARN + "0"
    )
    # Then the row is its own, as a new run of its owner's job, and the plan goes on from the model there
    row = aws.jobs.get("job-1")
    assert (row.status, row.run, row.execution_arn, row.owner) == (Status.RUNNING, 2, ARN + "0", "ann")
    assert (plan["at"]["step"], plan["at"]["modelS3Uri"]) == (step, home + (model or "gaussian/"))
    assert plan["training"]["task"] == "job-1-3dgs-2"


@pytest.mark.parametrize("gone", ["discard_intermediates", "discard_artifacts"])
def test_an_execution_by_hand_leaves_a_job_alone_whose_artifacts_go(aws, load, context, gone):
    # Given an ended job that has kept its reports and results, and nothing that a step begins with
    now = now_iso()
    fields = {"status": Status.COMPLETED, "created_at": now, "updated_at": now, gone: True}
    aws.jobs.create(JobRecord.model_validate({"job_id": "job-1", "stages": empty_stages(), **fields}))
    leave(aws, "colmap/sfm.json", "gaussian/model.ply")
    # When an execution by hand begins at a later step, then it is refused
    with pytest.raises(RefusedError, match="no_artifacts"):
        prepare(load, context, {"jobId": "job-1", "s3Url": ZIP, "pipelineStep": "3dgs"}, "by-hand", ARN)
    # And the job is what it was
    assert (aws.jobs.get("job-1").status, aws.jobs.get("job-1").version) == (Status.COMPLETED, 1)


def test_a_late_execution_of_an_earlier_run_does_not_claim_the_next(aws, load, context):
    now = now_iso()
    aws.jobs.create(JobRecord(job_id="job-1", run=2, created_at=now, updated_at=now))
    with pytest.raises(RefusedError, match="job_taken"):
        prepare(load, context, {"jobId": "job-1", "s3Url": ZIP}, name="job-1-1")
    assert prepare(load, context, {"jobId": "job-1", "s3Url": ZIP}, name="job-1-2", arn=ARN[:-1] + "2")


# ---- RecordProgress ----------------------------------------


def test_progress_of_the_current_task_reaches_the_row_and_nothing_else_does(aws, load, context, queued):
    handler = load("record_progress").handler
    enter_sfm()
    line = ProgressLine("sfm", 0.5, "matching", {"photos": 18}).to_json()
    # Given lines of the current task, mixed with logs, an older line, and one of a stage that is not its own
    older = ProgressLine("sfm", 0.2, "extracting").to_json()
    strange = ProgressLine("3dgs", 0.9, "training", {"photos": 1}).to_json()
    assert handler(log_event("job-1-sfm-1-0/algo-1-99", "hello", strange, line, older), context)["noted"]
    # When the same comes again, an older one late, another run's, another account's job's
    for stream, message in [
        ("job-1-sfm-1-0/algo-1-99", line),
        ("job-1-sfm-1-0/algo-1-99", older),
        ("job-1-sfm-2-0/algo-1-99", ProgressLine("sfm", 0.9).to_json()),
        ("xgboost-job/algo-1-99", ProgressLine("sfm", 0.9).to_json()),
        ("nobody-sfm-1-0/algo-1-99", ProgressLine("sfm", 0.9).to_json()),
    ]:
        assert not handler(log_event(stream, message), context)["noted"], stream
    # Then the row holds the first, once
    row = aws.jobs.get("job-1")
    assert row is not None
    assert (row.stages["sfm"].progress, row.detail, row.metrics) == (0.5, "matching", {"photos": 18})
    assert row.stages["3dgs"].progress == 0
    assert row.version == 3


# ---- ClassifyFailure ----------------------------------------


def classify(
    load, context, plan: dict[str, Any], error: str, **cause: Any
) -> tuple[dict[str, Any], list[str]]:
    """The next attempt, and which SageMaker jobs were told to stop."""
    module, asked = load("classify_failure", CAPACITY_WAIT_MINUTES="10", CAPACITY_PATIENCE_HOURS="12"), []

    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:  # moto has no Stop calls
        asked.append(json.loads(params["body"])["TrainingJobName"])
        return SimpleNamespace(status_code=200), {}

    module.sagemaker_tasks._sagemaker.meta.events.register("before-call.sagemaker.StopTrainingJob", answer)
    tasks = {"sfm": plan["sfm"]["task"], "3dgs": plan["training"]["task"], "compression": ""}
    failure = {"Error": error} | ({"Cause": json.dumps(cause)} if cause else {})
    event = {"jobId": "job-1", "step": "3dgs", "tasks": tasks, "attempt": plan["attempt"], "failure": failure}
    return module.handler(event, context), asked


def test_a_stage_without_a_machine_is_tried_on_another_type_and_then_waits(load, context, queued):
    # Given a job whose training may run on two types of machine, and gets neither, as spot or on demand
    plan = prepare(load, context, {"jobId": "job-1", "s3Url": ZIP})
    words = {"TrainingJobStatus": "Failed", "FailureReason": "CapacityError: Unable to provision."}
    assert plan["attempt"]["training"]["spot"]
    plan["attempt"], _ = classify(load, context, plan, "States.TaskFailed", **words)
    assert (plan["attempt"]["seconds"], plan["attempt"]["training"]["spot"]) == (0, False)
    plan["attempt"], _ = classify(load, context, plan, "States.TaskFailed", **words)
    again = dict(plan["attempt"])
    plan["attempt"], asked = classify(load, context, plan, "States.TaskFailed", **words)
    # Then it is tried on demand, on the second type, and then told when to try the first again
    assert (again["seconds"], again["training"]["instanceType"]) == (0, "ml.g5.xlarge")
    waits = plan["attempt"]
    assert (waits["remedy"], waits["training"]["instanceType"]) == ("wait", "ml.g4dn.xlarge")
    assert waits["seconds"] > 0
    assert plan["attempt"]["nextTryAt"] > ago(-5)
    # And the plan with it is one that the states can read, and nothing is stopped that never ran
    assert Plan.model_validate(plan).attempt.training.first_attempt == 18
    assert asked == []


@pytest.mark.parametrize("error", ["States.Timeout", "SageMaker.ResourceInUseException"])
def test_a_sagemaker_job_that_nobody_waits_for_any_more_is_stopped(load, context, queued, error):
    # Given a job whose training has run for too long, or under a name that is taken
    plan = prepare(load, context, {"jobId": "job-1", "s3Url": ZIP})
    plan["attempt"]["training"]["firstAttempt"] = 6
    # When the state machine gave it up
    attempt, asked = classify(load, context, plan, error)
    # Then every try of that entry is stopped, and the job fails
    assert asked == [f"job-1-3dgs-1-{number}" for number in range(6, 12)]
    assert attempt["remedy"] == "fail"


# ---- RecordFailure ----------------------------------------


UNSAID = object()


def fail(
    load,
    context,
    cause: str | None,
    name: str = "job-1-1",
    job_id: str | None = "job-1",
    given: Any = UNSAID,
    arn: str = ARN,
) -> dict[str, Any]:
    event = {
        "input": ({"jobId": job_id} if job_id else {}) if given is UNSAID else given,
        "executionArn": arn,
        "executionName": name,
        "failure": {"Error": "States.TaskFailed"} | ({"Cause": cause} if cause is not None else {}),
    }
    return load("record_failure").handler(event, context)


def test_failure_is_told_in_the_row(aws, load, context, queued):
    told = fail(load, context, json.dumps({"FailureReason": "AlgorithmError: , exit code: 137"}))
    assert told["recorded"]
    row = aws.jobs.get("job-1")
    assert row is not None
    assert row.error is not None
    assert (row.status, row.error.code) == (Status.FAILED, "killed")


def test_a_failure_without_a_cause_has_words_too(aws, load, context, queued):
    told = fail(load, context, None)
    assert told["recorded"]
    assert told["message"] == aws.jobs.get("job-1").error.message
    assert "States.TaskFailed" in told["message"]


def test_a_job_that_has_ended_stays_as_it_ended(aws, load, context, queued):
    assert aws.jobs.fail(queued, ARN, ErrorText("first", "first"), now_iso(), costs={}, outputs=None)
    assert not fail(load, context, "second")["recorded"]
    row = aws.jobs.get("job-1")
    assert row is not None
    assert row.error is not None
    assert row.error.code == "first"


def test_an_execution_that_is_not_the_jobs_own_can_not_fail_it(aws, load, context, queued):
    assert not fail(load, context, "boom", name="by-hand")["recorded"]
    row = aws.jobs.get("job-1")
    assert row is not None
    assert row.status is Status.QUEUED


def begin_stage(stage: str, started: str, model: str | None = None) -> None:
    """What the state machine's entry of `stage` writes of it, and of the one before."""
    table = boto3.resource("dynamodb").Table("jobs")
    if before := {"3dgs": "sfm", "compression": "3dgs"}.get(stage):
        table.update_item(
            Key={"jobId": "job-1"},
            UpdateExpression="SET stages.#stage.ended = :now",
            ExpressionAttributeNames={"#stage": before},
            ExpressionAttributeValues={":now": started},
        )
    table.update_item(
        Key={"jobId": "job-1"},
        UpdateExpression="SET stage = :name, modelS3Uri = :model, stages.#stage = :record",
        ExpressionAttributeNames={"#stage": stage},
        ExpressionAttributeValues={
            ":name": stage,
            ":model": model,
            ":record": {"started": started, "instance": "ml.g4dn.xlarge", "progress": 0},
        },
    )


def ago(minutes: float) -> str:
    return now_iso(datetime.now(UTC) - timedelta(minutes=minutes))


@pytest.mark.parametrize("by", ["RecordFailure", "SettleExecution"])
def test_a_job_that_does_not_finish_tells_what_it_has_cost_and_left(aws, load, context, queued, by):
    # Given a job whose SfM took half an hour and left its results, and whose training runs for an hour
    arn, hourly = ARN.replace("eu-west-1", "us-east-1"), ON_DEMAND["us-east-1"]["ml.g4dn.xlarge"]
    assert aws.jobs.begin(queued, arn, now_iso())
    begin_stage("sfm", ago(90))
    begin_stage("3dgs", ago(60))
    leave(aws, "colmap/sparse/points.ply", "colmap/sparse/georef.json", "colmap/sparse/cameras.geojson.bak")
    # When it fails, or is stopped
    if by == "RecordFailure":
        assert fail(load, context, "boom", arn=arn)["recorded"]
    else:
        assert settle(load, context, "ABORTED", arn=arn)
    # Then its row has both stages' costs, none of what never began, and what is there
    row = aws.jobs.get("job-1")
    assert row.stages["sfm"].cost == pytest.approx(hourly / 2, rel=0.01)
    assert row.stages["3dgs"].cost == pytest.approx(hourly, rel=0.01)
    assert row.stages["compression"].cost is None
    assert row.stages["3dgs"].ended is None  # it is to be done again
    points, georef = (f"{job_folder(aws)}colmap/sparse/{name}" for name in ("points.ply", "georef.json"))
    assert row.outputs == Outputs(points=points, georef=georef)
    # And so does what clients are told
    told = row.status_view()
    assert (told["outputs"]["points"], told["outputs"]["report"]) == (points, None)
    assert told["stages"]["3dgs"]["cost"] == row.stages["3dgs"].cost


def check_scene(aws, load, context, arn: str = ARN) -> dict[str, Any]:
    event = {"jobId": "job-1", "executionArn": arn, "colmapS3Uri": f"{job_folder(aws)}colmap/"}
    return load("check_scene").handler(event, context)


def leave_scene(aws, points: int) -> None:
    """What SfM says of its scene."""
    report = {
        "photos": {"given": 4, "refused": [], "registered": 3},
        "sfm": {
            "seconds": 1, "cpu_seconds": 1, "reprojection_px": 0.5, "points": points, "mean_track": 3.0,
        },
        "georef": None,
        "advice": [{"code": "few_photos", "message": "Few photos.", "hint": "Take more."}],
    }  # fmt: skip
    key = "jobs/job-1/colmap/sfm.json"
    boto3.client("s3").put_object(Bucket=aws.data_bucket, Key=key, Body=json.dumps(report))


def test_a_scene_is_told_of_while_its_job_runs(aws, load, context, queued):
    leave_scene(aws, points=900)
    assert aws.jobs.begin(queued, ARN, now_iso())
    # When it is checked, twice, as Lambdas are
    assert check_scene(aws, load, context)["noted"]
    assert check_scene(aws, load, context)["noted"]
    # Then the row has its numbers, and SfM's advice beside what was said of the zip, once
    row = aws.jobs.get("job-1")
    assert (row.metrics["registered"], row.metrics["points"]) == (3, 900)
    assert row.status_view()["warnings"] == [*queued.warnings, "Few photos. Take more."]
    # And a new run from SfM on has none of them
    assert row.reopened(PipelineStep.SFM, {}, now_iso()).advice == []


def test_a_scene_of_a_newer_image_is_told_of_and_what_is_no_number_is_not(aws, load, context, queued):
    leave_scene(aws, points=900)
    key, s3 = "jobs/job-1/colmap/sfm.json", boto3.client("s3")
    report = json.loads(s3.get_object(Bucket=aws.data_bucket, Key=key)["Body"].read())
    report["sfm"] |= {"reprojection_px": float("nan"), "measured_by_a_newer_image": 1}
    s3.put_object(Bucket=aws.data_bucket, Key=key, Body=json.dumps(report))
    assert aws.jobs.begin(queued, ARN, now_iso())
    assert check_scene(aws, load, context)["noted"]
    assert aws.jobs.get("job-1").metrics == {"photos": 4, "registered": 3, "points": 900}


def test_a_scene_that_can_not_be_trained_is_refused_in_the_trainers_words(aws, load, context, queued):
    leave_scene(aws, points=7)
    assert aws.jobs.begin(queued, ARN, now_iso())
    with pytest.raises(Exception, match="too_few_points") as refused:
        check_scene(aws, load, context)
    assert fail(load, context, json.dumps({"errorMessage": str(refused.value)}))["code"] == "too_few_points"


def test_another_executions_scene_is_not_told(aws, load, context, queued):
    leave_scene(aws, points=900)
    assert aws.jobs.begin(queued, ARN, now_iso())
    assert not check_scene(aws, load, context, arn=f"{ARN}-other")["noted"]
    assert aws.jobs.get("job-1").metrics == {}


@pytest.mark.parametrize("by", ["RecordFailure", "SettleExecution"])
def test_a_new_run_of_a_finished_job_that_ends_badly_leaves_it_its_results(aws, load, context, queued, by):
    # Given a finished job, which is trained anew
    made = Outputs(sog=f"{job_folder(aws)}compressed/model.sog", viewer_url="https://viewer/")
    ended = queued.model_copy(update={"status": Status.COMPLETED, "outputs": made})
    assert aws.jobs.reopen(queued, ended)
    assert aws.jobs.reopen(ended, ended.reopened(PipelineStep.TRAINING, {}, now_iso()))
    assert aws.jobs.begin(aws.jobs.get("job-1"), ARN, now_iso())
    begin_stage("3dgs", ago(20))
    leave(aws, "compressed/model.sog", "colmap/sparse/points.ply")
    # When that fails, or is stopped
    if by == "RecordFailure":
        assert fail(load, context, "boom")["recorded"]
    else:
        assert settle(load, context, "ABORTED")
    # Then the row names the results that it had
    row = aws.jobs.get("job-1")
    assert (row.is_terminal, row.outputs, row.earlier_results) == (True, made, True)


def test_a_new_run_that_gets_no_machine_takes_nothing_of_a_finished_job(aws, load, context, queued):
    # Given a finished job, whose SfM was entered anew
    made = Outputs(sog=f"{job_folder(aws)}compressed/model.sog", viewer_url="https://viewer/")
    done = StageRecord(started=ago(90), ended=ago(60), cost=1.0)
    ended = queued.model_copy(
        update={
            **{"status": Status.COMPLETED, "outputs": made, "model_s3_uri": f"{job_folder(aws)}training/"},
            "stages": {"sfm": done, "3dgs": done, "compression": done},
        }
    )
    assert aws.jobs.reopen(queued, ended)
    assert aws.jobs.reopen(ended, ended.reopened(PipelineStep.SFM, {}, now_iso()))
    assert aws.jobs.begin(aws.jobs.get("job-1"), ARN, now_iso())
    now = now_iso()
    begin_stage("sfm", now)
    boto3.resource("dynamodb").Table("jobs").update_item(
        Key={"jobId": "job-1"},
        UpdateExpression="SET updatedAt = :now",
        ExpressionAttributeValues={":now": now},
    )
    # When no machine is free, not for all its patience
    none_free = {"ProcessingJobStatus": "Failed", "FailureReason": "CapacityError: Unable to provision"}
    assert fail(load, context, json.dumps(none_free))["code"] == "no_capacity"
    # Then all that it had is told, and its last step may be done again
    row = aws.jobs.get("job-1")
    assert (row.status, row.outputs, row.as_before_it_began().stages) == (Status.FAILED, made, ended.stages)
    assert row.with_all_that_is_there().next_step is PipelineStep.COMPRESSION


@pytest.fixture
def redone(aws, queued) -> JobRecord:
    """A finished job whose second run has come to its compression stage, with its first one's files."""
    folder = f"{job_folder(aws)}compressed/"
    made = Outputs(
        viewer_url="https://viewer/", sog=f"{folder}model.sog", lod=f"{folder}lod/lod-meta.json",
        video=f"{folder}{VIDEO}",
    )  # fmt: skip
    ended = queued.model_copy(update={"status": Status.COMPLETED, "outputs": made})
    assert aws.jobs.reopen(queued, ended)
    assert aws.jobs.reopen(ended, ended.reopened(PipelineStep.COMPRESSION, {}, now_iso()))
    assert aws.jobs.begin(aws.jobs.get("job-1"), ARN, now_iso())
    leave(aws, "compressed/model.sog", "compressed/lod/lod-meta.json", f"compressed/{VIDEO}")
    time.sleep(1.1)  # S3 tells whole seconds
    begin_stage("compression", now_iso(datetime.now(UTC).replace(microsecond=0)))
    return aws.jobs.get("job-1")


def test_results_of_the_second_in_which_a_new_run_begins_stay_the_finished_ones(aws, load, context, redone):
    # Given a new run whose compression stage began in the second of the first one's last file
    key = "jobs/job-1/compressed/model.sog"
    written = boto3.client("s3").head_object(Bucket=aws.data_bucket, Key=key)["LastModified"]
    begin_stage("compression", now_iso(written + timedelta(seconds=0.5)))
    # When it is stopped
    assert settle(load, context, "ABORTED")
    # Then the job has the results that it had
    row = aws.jobs.get("job-1")
    assert (row.outputs, row.earlier_results) == (redone.outputs, True)


@pytest.mark.parametrize("by", ["RecordFailure", "SettleExecution"])
def test_a_new_run_that_is_not_published_deletes_nothing_and_tells_what_is_there(
    aws, load, context, redone, monkeypatch, by
):
    # Given a new run's model in the old one's place, and a row that can't be written
    leave(aws, "compressed/model.sog", f"compressed/{QUALITY_REPORT}")
    module = load("publish_result")
    with monkeypatch.context() as patched:
        patched.setattr(module.jobs, "complete", Mock(side_effect=RuntimeError("throttled")))
        with pytest.raises(RuntimeError, match="throttled"):
            module.handler(publish_event(aws), context)
    # Then all files are there
    names = (VIDEO, "lod/lod-meta.json", "model.sog", QUALITY_REPORT)
    listed = boto3.client("s3").list_objects_v2(Bucket=aws.data_bucket)["Contents"]
    assert {found["Key"] for found in listed} == {f"jobs/job-1/compressed/{name}" for name in names}
    # When it ends so, Then the row tells this run's results, not links of before to what is another model now
    if by == "RecordFailure":
        assert fail(load, context, "boom")["recorded"]
    else:
        assert settle(load, context, "ABORTED")
    row = aws.jobs.get("job-1")
    folder = f"{job_folder(aws)}compressed/"
    assert row.outputs == Outputs(sog=f"{folder}model.sog", quality=f"{folder}{QUALITY_REPORT}")
    assert not row.earlier_results


def test_a_new_run_that_is_stopped_while_it_is_published_deletes_nothing(aws, load, context, redone):
    put_quality(aws)
    assert aws.jobs.request_stop("job-1", False, now_iso())
    assert not load("publish_result").handler(publish_event(aws), context)["published"]
    assert left_of_earlier(aws) == {VIDEO, "lod/lod-meta.json"}


def test_a_publication_that_died_before_it_discarded_does_so_when_tried_again(
    aws, load, context, redone, monkeypatch
):
    # Given a publication that dies as soon as the row is told
    put_quality(aws)
    module = load("publish_result")
    with monkeypatch.context() as patched:
        patched.setattr(module, "discard_earlier_runs", Mock(side_effect=RuntimeError("killed")))
        with pytest.raises(RuntimeError, match="killed"):
            module.handler(publish_event(aws), context)
    assert aws.jobs.get("job-1").status is Status.COMPLETED
    assert left_of_earlier(aws) == {VIDEO, "lod/lod-meta.json"}
    # When the state is tried again, Then what the row does not tell of is gone
    assert not module.handler(publish_event(aws), context)["published"]
    assert left_of_earlier(aws) == set()


def put_quality(aws) -> None:
    """The report that the compression stage leaves."""
    key = f"jobs/job-1/compressed/{QUALITY_REPORT}"
    boto3.client("s3").put_object(Bucket=aws.data_bucket, Key=key, Body=json.dumps(QUALITY).encode())


def left_of_earlier(aws) -> set[str]:
    """Those of the earlier run's files that only it has made, and that are there."""
    prefix = "jobs/job-1/compressed/"
    listed = boto3.client("s3").list_objects_v2(Bucket=aws.data_bucket, Prefix=prefix)["Contents"]
    return {found["Key"].removeprefix(prefix) for found in listed} & {VIDEO, "lod/lod-meta.json"}


def test_a_job_whose_compression_failed_has_its_trained_model_and_no_report_of_before(
    aws, load, context, queued
):
    # Given a run that got as far as compression, in a folder with an earlier run's report
    model = f"{job_folder(aws)}training/job-1-3dgs-1-0/output/model/"
    leave(aws, "compressed/report.html", "compressed/model.sog", "colmap/sparse/points.ply")
    leave(aws, "training/job-1-3dgs-1-0/output/model/model.ply")
    assert aws.jobs.begin(queued, ARN, now_iso())
    begin_stage("sfm", ago(30))
    begin_stage("3dgs", ago(20))
    begin_stage("compression", ago(-1), model)
    # When its job fails
    assert fail(load, context, "boom")["recorded"]
    # Then it has what its own stages left
    expected = Outputs(points=f"{job_folder(aws)}colmap/sparse/points.ply", ply=f"{model}model.ply")
    assert aws.jobs.get("job-1").outputs == expected


def test_a_job_that_could_not_be_published_has_its_report(aws, load, context, queued):
    # Given a run whose every stage finished, and that could not be published
    assert aws.jobs.begin(queued, ARN, now_iso())
    begin_stage("compression", ago(1))
    leave(aws, "compressed/report.html", "compressed/quality.json", "compressed/viewer/index.html")
    assert fail(load, context, "boom")["recorded"]
    # Then the row names the report that is there, and no viewer, which browsers would not be shown
    folder = f"{job_folder(aws)}compressed/"
    expected = Outputs(report=f"{folder}report.html", quality=f"{folder}quality.json")
    assert aws.jobs.get("job-1").outputs == expected


def test_a_failure_is_told_whatever_s3_says(aws, load, context, queued):
    # Given a job whose bucket is not there
    assert aws.jobs.begin(queued, ARN, now_iso())
    begin_stage("sfm", ago(1))
    boto3.client("s3").delete_bucket(Bucket=aws.data_bucket)
    # When it fails, Then its row says so
    assert fail(load, context, "boom")["recorded"]
    row = aws.jobs.get("job-1")
    assert (row.status, row.outputs) == (Status.FAILED, None)


def test_a_failure_before_there_is_a_row_gets_one(aws, load, context):
    assert fail(load, context, "boom", name="by-hand", job_id=None)["recorded"]
    row = aws.jobs.get("by-hand")
    assert row is not None
    assert row.status is Status.FAILED


# ---- SettleExecution ----------------------------------------


def settle(load, context, status: str, arn: str = ARN, **detail: str) -> bool:
    event = {
        "detail": {"executionArn": arn, "name": "job-1-1", "status": status, "input": '{"jobId": "job-1"}'}
    }
    event["detail"] |= detail
    return load("settle_execution").handler(event, context)["settled"]


@pytest.mark.parametrize(
    ("ended", "detail", "status", "code"),
    [
        ("ABORTED", {}, Status.STOPPED, "stopped"),
        ("TIMED_OUT", {}, Status.FAILED, "timeout"),
        ("FAILED", {"error": "States.ServiceRestart"}, Status.FAILED, "interrupted"),
        ("FAILED", {"error": "States.Runtime", "cause": "bad path"}, Status.FAILED, "fault"),
    ],
)
def test_an_execution_that_ends_unseen_ends_its_job(aws, load, context, queued, ended, detail, status, code):
    assert aws.jobs.begin(queued, ARN, now_iso())
    assert settle(load, context, ended, **detail)
    row = aws.jobs.get("job-1")
    assert row is not None
    assert row.error is not None
    assert (row.status, row.error.code) == (status, code)
    # And once is enough
    assert not settle(load, context, ended, **detail)


def test_an_execution_that_ends_before_it_claims_its_job_ends_it_too(aws, load, context, queued):
    assert settle(load, context, "ABORTED")
    row = aws.jobs.get("job-1")
    assert row is not None
    assert row.status is Status.STOPPED


def test_what_another_execution_does_leaves_the_job_alone(aws, load, context, queued):
    assert not settle(load, context, "ABORTED", name="by-hand")
    assert aws.jobs.begin(queued, ARN, now_iso())
    assert not settle(load, context, "ABORTED", arn=ARN + "0")


@pytest.mark.parametrize("ended", ["ABORTED", "SUCCEEDED", "FAILED"])
def test_a_job_that_was_stopping_is_stopped_and_what_it_made_deleted(aws, load, context, queued, ended):
    # Given a job that is stopping, with the wish that nothing stays
    assert aws.jobs.begin(queued, ARN, now_iso())
    assert aws.jobs.request_stop("job-1", True, now_iso())
    leave(aws, "colmap/sfm.json", "compressed/model.sog")
    # When its execution ends, however it does
    assert settle(load, context, ended)
    # Then it is stopped, nothing lies in its folder, and the reconciler will look once more
    row = aws.jobs.get("job-1")
    assert (row.status, row.outputs, row.awaits_discard) == (Status.STOPPED, None, True)
    assert boto3.client("s3").list_objects_v2(Bucket=aws.data_bucket)["KeyCount"] == 0


@pytest.mark.parametrize(("stage", "kind"), [("sfm", "Processing"), ("3dgs", "Training")])
def test_a_sagemaker_job_that_the_stop_left_running_is_stopped(aws, load, context, queued, stage, kind):
    # Given a job whose stage was entered twice, and whose second attempt since runs on
    task = task_name("job-1", stage, 1)
    assert aws.jobs.begin(queued, ARN, now_iso())
    boto3.resource("dynamodb").Table("jobs").update_item(
        Key={"jobId": "job-1"},
        UpdateExpression="SET task = :t, stage = :s, firstAttempt = :first",
        ExpressionAttributeValues={":t": task, ":s": stage, ":first": 6},
    )
    asked = []

    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:  # moto has no Stop calls
        asked.append(json.loads(params["body"])[f"{kind}JobName"])
        return SimpleNamespace(status_code=200), {}

    module = load("settle_execution")
    module.settlement.tasks._sagemaker.meta.events.register(f"before-call.sagemaker.Stop{kind}Job", answer)
    # When its execution was aborted
    detail = {"executionArn": ARN, "name": "job-1-1", "status": "ABORTED", "input": '{"jobId": "job-1"}'}
    assert module.handler({"detail": detail}, context)["settled"]
    # Then whichever attempt runs is stopped
    assert asked == [f"{task}-{attempt}" for attempt in range(6, 12)]


# ---- PublishResult ----------------------------------------

QUALITY = {
    "photos": {"given": 18, "refused": [], "registered": 18},
    "sfm": {"seconds": 29.0, "cpu_seconds": 50.0, "reprojection_px": 0.33, "points": 6427, "mean_track": 4.1},
    "georef": {
        "rms_horizontal_m": 0.43, "rms_vertical_m": 0.9, "origin": {"lat": 50.8, "lon": -0.1, "alt": 60.0},
    },
    "training": {
        "seconds": 40.0, "iterations": 1500, "stopped_by": "max_iterations", "gaussians": 9000,
        "gaussians_initial": 6427, "psnr_train": 21.0, "psnr_holdout": None, "ssim_holdout": None,
        "detail_holdout": None, "psnr_holdout_initial": None, "holdout": [], "device": "cpu",
        "rasterizer": "numba", "preset": "preview", "peak_memory_bytes": 1,
    },
    "delivery": {
        "ply_bytes": 9, "sog_bytes": 3, "bytes_per_gaussian": 0.1, "decode_psnr_db": 45.0,
        "psnr_loss_db": 0.0, "gaussians": 9000,
    },
}  # fmt: skip


def publish_event(aws) -> dict[str, Any]:
    """What the state passes to PublishResult for job-1."""
    places = {f"{name}S3Uri": f"{job_folder(aws)}{name}/" for name in ("colmap", "gaussian", "compressed")}
    return {"jobId": "job-1", "executionArn": ARN, **places}


def job_folder(aws) -> str:
    return f"s3://{aws.data_bucket}/jobs/job-1/"


def test_publish_completes_the_row_the_report_and_the_viewer(aws, load, context, queued):
    # Given what the compression stage left
    s3 = boto3.client("s3")

    def put(key: str, body: bytes) -> None:
        s3.put_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{key}", Body=body)

    put("quality.json", json.dumps({**QUALITY, "pictures": [VIDEO]}).encode())
    put("report.html", f"<html>{report_times.PLACE}</html>".encode())
    put("viewer/index.html", b"<html>")
    put("viewer/index.js", b"1")
    put(VIDEO, b"film")
    assert aws.jobs.begin(queued, ARN, now_iso())
    # When the state runs
    handler = load("publish_result", VIEWER_BASE_URL="http://viewer").handler
    assert handler(publish_event(aws), context)["published"]
    # Then the row is complete with its numbers and links
    row = aws.jobs.get("job-1")
    assert row is not None
    assert row.outputs is not None
    assert (row.status, row.progress, row.metrics["registered"]) == (Status.COMPLETED, 1.0, 18)
    assert "psnr_holdout" not in row.metrics
    assert row.stages["sfm"].cost is None  # it ran nowhere
    assert row.outputs.viewer_url == "http://viewer/jobs/job-1/compressed/viewer/index.html"
    assert row.outputs.report == f"{job_folder(aws)}compressed/report.html"
    assert row.outputs.points == f"{job_folder(aws)}colmap/sparse/points.ply"
    # And both reports have their times, and browsers will show the pages
    page = s3.get_object(Bucket=aws.data_bucket, Key="jobs/job-1/compressed/report.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert b"Whole job" in page["Body"].read()
    report = json.loads(
        s3.get_object(Bucket=aws.data_bucket, Key="jobs/job-1/compressed/quality.json")["Body"].read()
    )
    assert report["total_seconds"] >= 0
    page = s3.head_object(Bucket=aws.data_bucket, Key="jobs/job-1/compressed/viewer/index.html")
    assert page["ContentType"] == "text/html"
    film = s3.head_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{VIDEO}")
    assert film["ContentType"] == "video/mp4"
    assert row.outputs.video == f"{job_folder(aws)}compressed/{VIDEO}"
    # And a second run changes nothing
    assert not handler(publish_event(aws), context)["published"]


NAN, INFINITE = float("nan"), float("inf")
NO_NUMBERS = {
    **QUALITY,
    "sfm": {**QUALITY["sfm"], "reprojection_px": NAN, "mean_track": None, "newer": INFINITE},
    "training": {**QUALITY["training"], "psnr_train": -INFINITE, "psnr_holdout": NAN},
    "delivery": {**QUALITY["delivery"], "psnr_loss_db": None},
}
PLACES = {
    *("sfm.reprojection_px", "sfm.mean_track", "sfm.newer"),
    *("training.psnr_train", "training.psnr_holdout", "delivery.psnr_loss_db"),
}


def test_a_finished_model_is_published_whose_report_has_no_numbers(aws, load, context, queued, capsys):
    # Given a report with what JSON has no numbers for, as Python writes it, and as null
    s3, key = boto3.client("s3"), f"jobs/job-1/compressed/{QUALITY_REPORT}"
    s3.put_object(Bucket=aws.data_bucket, Key=key, Body=json.dumps(NO_NUMBERS).encode())
    assert aws.jobs.begin(queued, ARN, now_iso())
    # When the state runs
    assert load("publish_result").handler(publish_event(aws), context)["published"]
    # Then the row has the numbers that are some
    assert aws.jobs.get("job-1").metrics == {
        "registered": 18, "photos": 18, "gaussians": 9000, "sog_bytes": 3, "rms_horizontal_m": 0.43
    }  # fmt: skip
    # And the delivered report is JSON, which has null for the others, and can be read again
    report = s3.get_object(Bucket=aws.data_bucket, Key=key)["Body"].read()
    strict = json.loads(report, parse_constant=pytest.fail)
    for place in PLACES:
        stage, name = place.split(".")
        assert strict[stage][name] is None
    assert isnan(QualityReport.model_validate_json(report).sfm.mean_track)
    # And the log says which
    told = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "places" in line]
    assert {*told[0]["places"]} == PLACES


@pytest.mark.parametrize("report", [b"{", b"[]", b"{}", json.dumps({**QUALITY, "sfm": None}).encode()])
def test_a_finished_model_is_published_whatever_its_report_holds(aws, load, context, queued, report):
    # Given a run that has come to its end, with a report that is none
    assert aws.jobs.begin(queued, ARN, now_iso())
    begin_stage("compression", ago(5), f"{job_folder(aws)}training/")
    leave(aws, "compressed/model.sog", f"compressed/{THUMBNAIL}", "training/model.ply")
    s3, key = boto3.client("s3"), f"jobs/job-1/compressed/{QUALITY_REPORT}"
    s3.put_object(Bucket=aws.data_bucket, Key=key, Body=report)
    # When the state runs
    handler = load("publish_result", VIEWER_BASE_URL="http://viewer").handler
    assert handler(publish_event(aws), context)["published"]
    # Then the row names what is there, and the report is as it was
    row = aws.jobs.get("job-1")
    assert row.status is Status.COMPLETED
    assert row.outputs == Outputs(
        viewer_url="http://viewer/jobs/job-1/compressed/viewer/index.html",
        sog=f"{job_folder(aws)}compressed/model.sog",
        thumbnail=f"{job_folder(aws)}compressed/{THUMBNAIL}",
        quality=f"{job_folder(aws)}compressed/{QUALITY_REPORT}",
    )
    assert s3.get_object(Bucket=aws.data_bucket, Key=key)["Body"].read() == report


def test_publish_makes_the_pieces_of_a_large_model_servable(aws, load, context, queued):
    # Given a model in levels of detail
    s3 = boto3.client("s3")
    lod = {"gaussians": [9000, 4500], "chunks": 9, "files": 4, "bytes": 99}
    quality = {**QUALITY, "delivery": {**QUALITY["delivery"], "lod": lod}}
    files = {"quality.json": json.dumps(quality).encode(), "lod/lod-meta.json": b"{}"}
    files |= {f"lod/0_{file}/{image}.webp": b"RIFF" for file in range(4) for image in range(8)}
    for name, body in files.items():
        s3.put_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{name}", Body=body)
    assert aws.jobs.begin(queued, ARN, now_iso())
    # When the state runs
    assert load("publish_result").handler(publish_event(aws), context)["published"]
    # Then browsers are told what each of them is
    kinds = {"lod-meta.json": "application/json", "0_0/0.webp": "image/webp", "0_3/7.webp": "image/webp"}
    for name, kind in kinds.items():
        found = s3.head_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/lod/{name}")
        assert found["ContentType"] == kind


def test_publish_tells_the_row_and_the_report_what_each_stage_cost(aws, load, context, queued):
    # Given a job whose poses were found on a machine of no known price, and its training on one of a known
    arn = ARN.replace("eu-west-1", "us-east-1")
    ran = {"started": "2026-11-23T10:00:00.000Z", "ended": "2026-11-23T10:30:00.000Z"}
    machines = {"sfm": "ml.huge", "3dgs": "ml.g4dn.xlarge"}
    for stage, instance in machines.items():
        boto3.resource("dynamodb").Table("jobs").update_item(
            Key={"jobId": "job-1"},
            UpdateExpression="SET stages.#stage = :record",
            ExpressionAttributeNames={"#stage": stage},
            ExpressionAttributeValues={":record": {**ran, "instance": instance}},
        )
    s3, folder = boto3.client("s3"), "jobs/job-1/compressed/"
    s3.put_object(Bucket=aws.data_bucket, Key=f"{folder}quality.json", Body=json.dumps(QUALITY).encode())
    s3.put_object(Bucket=aws.data_bucket, Key=f"{folder}report.html", Body=report_times.PLACE.encode())
    assert aws.jobs.begin(queued, arn, now_iso())
    # When the state runs
    load("publish_result").handler({**publish_event(aws), "executionArn": arn}, context)
    # Then the row has the half hour's price, and none where it is not known
    row = aws.jobs.get("job-1")
    assert row.stages["3dgs"].cost == pytest.approx(0.5 * ON_DEMAND["us-east-1"]["ml.g4dn.xlarge"])
    assert row.stages["sfm"].cost is None
    assert row.status_view()["stages"]["3dgs"]["cost"] == row.stages["3dgs"].cost
    # And so has the report
    page = s3.get_object(Bucket=aws.data_bucket, Key=f"{folder}report.html")["Body"].read().decode()
    assert "$0.37 and more" in page
    assert "The price of ml.huge is not known" in page


def test_publish_tells_of_the_pictures_that_this_run_made(aws, load, context, queued):
    # Given a model with a thumbnail, and a film that an earlier run has left
    s3 = boto3.client("s3")
    told = {**QUALITY, "pictures": [THUMBNAIL]}
    for name, body in ((QUALITY_REPORT, json.dumps(told).encode()), (THUMBNAIL, b"new"), (VIDEO, b"old")):
        s3.put_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{name}", Body=body)
    assert aws.jobs.begin(queued, ARN, now_iso())
    # When the state runs
    assert load("publish_result").handler(publish_event(aws), context)["published"]
    # Then the row names what is this model's, and browsers will show it
    outputs = aws.jobs.get("job-1").outputs
    assert outputs.thumbnail == f"{job_folder(aws)}compressed/{THUMBNAIL}"
    assert outputs.video is None
    head = s3.head_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{THUMBNAIL}")
    assert head["ContentType"] == "image/jpeg"


def test_publish_discards_what_an_earlier_run_left_and_this_one_did_not(aws, load, context, queued):
    # Given a folder with an earlier run's pieces, formats and pictures, and work of other stages
    s3, home = boto3.client("s3"), "jobs/job-1"

    def put(*names: str) -> None:
        for name in names:
            s3.put_object(Bucket=aws.data_bucket, Key=f"{home}/{name}", Body=b"{}")

    put("compressed/lod/lod-meta.json", "compressed/lod/3_0/sh0.webp", "compressed/model.spz")
    put(f"compressed/{VIDEO}", "compressed/tiles/9_9.glb", f"gaussian/{HELD_OUT}/1.jpg")
    earlier = ["colmap/sfm.json", "gaussian/model.ply", "compressed/notes.txt"]
    put(*earlier)
    time.sleep(1.1)  # S3 tells whole seconds
    # When a later compression stage, which writes less, is published
    boto3.resource("dynamodb").Table("jobs").update_item(
        Key={"jobId": "job-1"},
        UpdateExpression="SET stages.#stage.started = :now",
        ExpressionAttributeNames={"#stage": "compression"},
        ExpressionAttributeValues={":now": now_iso()},
    )
    assert aws.jobs.begin(queued, ARN, now_iso())
    later = ["compressed/lod/lod-meta.json", "compressed/lod/0_0/sh0.webp", "compressed/model.sog"]
    put(*later)
    s3.put_object(
        Bucket=aws.data_bucket, Key=f"{home}/compressed/{QUALITY_REPORT}", Body=json.dumps(QUALITY).encode()
    )
    assert load("publish_result").handler(publish_event(aws), context)["published"]
    # Then only its own files are there, and what is no delivery
    left = s3.list_objects_v2(Bucket=aws.data_bucket, Prefix=home)["Contents"]
    names = {found["Key"].removeprefix(f"{home}/") for found in left}
    assert names == {*earlier, *later, f"compressed/{QUALITY_REPORT}"}


def test_publish_names_the_formats_that_this_run_wrote(aws, load, context, queued):
    # Given a model as glTF, 3D Tiles and PLY
    s3 = boto3.client("s3")
    names = ("model.glb", "tiles/tileset.json", "tiles/0_0.glb", "model.ply")
    sizes = {"model.glb": 5, "tiles/tileset.json": 10, "model.ply": 5}
    told = {**QUALITY, "delivery": {**QUALITY["delivery"], "files": sizes}}
    for name in names:
        s3.put_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{name}", Body=b"12345")
    s3.put_object(
        Bucket=aws.data_bucket, Key="jobs/job-1/compressed/quality.json", Body=json.dumps(told).encode()
    )
    assert aws.jobs.begin(queued, ARN, now_iso())
    # When the state runs
    assert load("publish_result").handler(publish_event(aws), context)["published"]
    # Then the row names what is this model's, the PLY of what is delivered rather than of what was trained
    outputs = aws.jobs.get("job-1").outputs
    assert outputs.ply == f"{job_folder(aws)}compressed/model.ply"
    assert outputs.gltf == f"{job_folder(aws)}compressed/model.glb"
    assert outputs.tiles == f"{job_folder(aws)}compressed/tiles/tileset.json"
    assert outputs.spz is None
    # And programs on the web are told what they are given
    kinds = [
        s3.head_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{name}")["ContentType"]
        for name in names[:3]
    ]
    assert kinds == ["model/gltf-binary", "application/json", "model/gltf-binary"]


def test_what_no_browser_shows_is_not_copied_for_a_media_type(aws, monkeypatch):
    # Given a small picture, a model as plain bytes, and a glTF as large as S3 would take long to copy
    s3 = boto3.client("s3")
    monkeypatch.setattr("spaceport.delivered.LARGEST_COPY", 5)
    bodies = {"poster.jpg": b"1234", "model.ply": b"1234", "model.glb": b"123456"}
    for name, body in bodies.items():
        s3.put_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{name}", Body=body)
    # When they are given media types
    copied: list[str] = []
    s3.meta.events.register(
        "provide-client-params.s3.CopyObject", lambda params, **_: copied.append(params["Key"])
    )
    Delivered(s3, f"s3://{aws.data_bucket}/jobs/job-1/compressed/").give_media_types("")
    # Then only the picture was copied
    assert copied == ["jobs/job-1/compressed/poster.jpg"]


@pytest.mark.parametrize(
    ("code", "is_fault"), [("NoSuchKey", False), ("AccessDenied", False), ("InvalidRequest", True)]
)
def test_a_file_that_s3_does_not_show_is_none(aws, code, is_fault):
    # Given what S3 answers to a GET of what is not there, by what else the caller may do; or a fault
    s3 = boto3.client("s3")
    body = f"<Error><Code>{code}</Code></Error>".encode()
    answer = SimpleNamespace(status_code=404, headers={}, content=body, raw=None)
    s3.meta.events.register("before-send.s3.GetObject", lambda **_: answer)
    delivered = Delivered(s3, f"s3://{aws.data_bucket}/jobs/job-1/compressed/")
    if is_fault:
        with pytest.raises(ClientError, match=code):
            delivered.read("report.html")
    else:
        assert delivered.read("report.html") is None


@pytest.mark.parametrize("page", [None, b"<html>of a version without times</html>"], ids=["none", "older"])
def test_publish_takes_the_report_of_an_older_image(aws, load, context, queued, page):
    # Given a compression stage that made no page, or one without a place for the times
    s3 = boto3.client("s3")
    folder = "jobs/job-1/compressed/"
    s3.put_object(Bucket=aws.data_bucket, Key=f"{folder}quality.json", Body=json.dumps(QUALITY).encode())
    if page is not None:
        s3.put_object(Bucket=aws.data_bucket, Key=f"{folder}report.html", Body=page)
    assert aws.jobs.begin(queued, ARN, now_iso())
    # When the state runs, Then the job is published with what there is
    assert load("publish_result").handler(publish_event(aws), context)["published"]
    outputs = aws.jobs.get("job-1").outputs
    assert outputs.report == (None if page is None else f"{job_folder(aws)}compressed/report.html")
    if page is not None:
        assert s3.get_object(Bucket=aws.data_bucket, Key=f"{folder}report.html")["Body"].read() == page
