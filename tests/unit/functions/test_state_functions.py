"""PrepareJob, RecordProgress, PublishResult, RecordFailure: each against a real row in moto's DynamoDB."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import boto3
import pytest

from spaceport.errors import ErrorText
from spaceport.failure import RefusedError
from spaceport.job import JobRecord, empty_stages, now_iso, task_name
from spaceport.plan import Plan
from spaceport.progress import ProgressLine
from spaceport.stages import SFM, Status

ZIP = "s3://uploads-bucket/a.zip"
IMAGES = {
    "SFM_IMAGE_URI": "spaceport/sfm:latest",
    "GAUSSIAN_IMAGE_URI": "spaceport/gaussian:latest",
    "COMPRESSOR_IMAGE_URI": "spaceport/compressor:latest",
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


def prepare(load, context, given: dict[str, Any], name: str = "job-1-1", arn: str = ARN) -> dict[str, Any]:
    handler = load("prepare_job", **IMAGES).handler
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


def test_prepare_makes_the_row_of_an_execution_started_by_hand(aws, load, context):
    prepare(load, context, {"s3Url": ZIP}, name="my-own-run")
    row = aws.jobs.get("my-own-run")
    assert row is not None
    assert (row.owner, row.status) == ("operator", Status.RUNNING)


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


# ---- RecordProgress ----------------------------------------


def test_progress_of_the_current_task_reaches_the_row_and_nothing_else_does(aws, load, context, queued):
    handler = load("record_progress").handler
    enter_sfm()
    line = ProgressLine("sfm", 0.5, "matching", {"photos": 18}).to_json()
    # Given lines of the current task, mixed with logs and an older line
    older = ProgressLine("sfm", 0.2, "extracting").to_json()
    assert handler(log_event("job-1-sfm-1-0/algo-1-99", "hello", line, older), context)["noted"]
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
    assert row.version == 3


# ---- RecordFailure ----------------------------------------


def fail(load, context, cause: str, name: str = "job-1-1", job_id: str | None = "job-1") -> dict[str, Any]:
    event = {
        "input": {"jobId": job_id} if job_id else {},
        "executionArn": ARN,
        "executionName": name,
        "failure": {"Error": "States.TaskFailed", "Cause": cause},
    }
    return load("record_failure").handler(event, context)


def test_failure_is_told_in_the_row(aws, load, context, queued):
    told = fail(load, context, json.dumps({"FailureReason": "AlgorithmError: , exit code: 137"}))
    assert told["recorded"]
    row = aws.jobs.get("job-1")
    assert row is not None
    assert row.error is not None
    assert (row.status, row.error.code) == (Status.FAILED, "killed")


def test_a_job_that_has_ended_stays_as_it_ended(aws, load, context, queued):
    assert aws.jobs.fail("job-1", ARN, ErrorText("first", "first"), now_iso())
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
    assert aws.jobs.begin("job-1", ARN, now_iso())
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
    assert aws.jobs.begin("job-1", ARN, now_iso())
    assert not settle(load, context, "ABORTED", arn=ARN + "0")


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


def test_publish_completes_the_row_the_report_and_the_viewer(aws, load, context, queued):
    # Given what the compression stage left
    s3 = boto3.client("s3")

    def put(key: str, body: bytes) -> None:
        s3.put_object(Bucket=aws.data_bucket, Key=f"jobs/job-1/compressed/{key}", Body=body)

    put("quality.json", json.dumps(QUALITY).encode())
    put("viewer/index.html", b"<html>")
    put("viewer/index.js", b"1")
    assert aws.jobs.begin("job-1", ARN, now_iso())
    # When the state runs
    home = f"s3://{aws.data_bucket}/jobs/job-1"
    event = {
        "jobId": "job-1",
        "colmapS3Uri": f"{home}/colmap/",
        "executionArn": ARN,
        "gaussianS3Uri": f"{home}/gaussian/",
        "compressedS3Uri": f"{home}/compressed/",
    }
    handler = load("publish_result", VIEWER_BASE_URL="http://viewer").handler
    assert handler(event, context)["published"]
    # Then the row is complete with its numbers and links
    row = aws.jobs.get("job-1")
    assert row is not None
    assert row.outputs is not None
    assert (row.status, row.progress, row.metrics["registered"]) == (Status.COMPLETED, 1.0, 18)
    assert "psnr_holdout" not in row.metrics
    assert row.outputs.viewer_url == "http://viewer/jobs/job-1/compressed/viewer/index.html"
    # And the report has its times, and browsers will show the page
    report = json.loads(
        s3.get_object(Bucket=aws.data_bucket, Key="jobs/job-1/compressed/quality.json")["Body"].read()
    )
    assert report["total_seconds"] >= 0
    page = s3.head_object(Bucket=aws.data_bucket, Key="jobs/job-1/compressed/viewer/index.html")
    assert page["ContentType"] == "text/html"
    # And a second run changes nothing
    assert not handler(event, context)["published"]
