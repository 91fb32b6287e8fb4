"""What a handler leaves in its log: lines that name their job, and metrics that CloudWatch understands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from spaceport import metering
from spaceport.attempts import Attempt, Machine, TrainingMachine
from spaceport.bodies import StartBody
from spaceport.callers import Caller
from spaceport.intake import Intake
from spaceport.job import JobRecord, empty_stages, now_iso
from spaceport.metering import METRICS
from spaceport.prices import Bill
from spaceport.stages import Status
from spaceport.starting import Starting

ARN = "arn:aws:states:eu-west-1:123456789012:execution:pipeline:job-1-1"
FAILURE = {
    "input": {"jobId": "job-1", "s3Url": "s3://uploads-bucket/a.zip"},
    "executionName": "job-1-1",
    "executionArn": ARN,
}


def lines(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def metrics(said: str) -> dict[str, float]:
    """Each metric's sum. Checks that every one has the one form that alarms can be set on."""
    found: dict[str, float] = {}
    for line in lines(said):
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            assert directive["Namespace"] == "Spaceport"
            assert directive["Dimensions"] == [["service"]]
            assert line["service"] == "spaceport"
            for metric in directive["Metrics"]:
                assert metric["Unit"] == METRICS[metric["Name"]].unit.value
                found[metric["Name"]] = found.get(metric["Name"], 0) + sum(line[metric["Name"]])
    return found


def row(age: timedelta = timedelta(0), **fields: Any) -> JobRecord:
    then = now_iso(datetime.now(UTC) - age)
    stages = empty_stages()
    stages["sfm"] = stages["sfm"].model_copy(update={"started": then})
    told = {"job_id": "job-1", "created_at": then, "updated_at": then, "stages": stages}
    return JobRecord.model_validate({**told, "status": "RUNNING", "execution_arn": ARN, **fields})


def test_every_line_names_its_job_and_the_next_call_forgets_it(aws, load, context, capsys):
    # Given a warm function
    function = load("record_failure")
    # When it tells of one job, and then fails on an event that names none
    function.handler({**FAILURE, "failure": {"Error": "States.Timeout"}}, context)
    first = lines(capsys.readouterr().out)
    function.logger.info("before the next call")
    with pytest.raises(KeyError):
        function.handler({}, context)
    function.logger.info("in the next call")
    # Then
    assert first
    assert {line["job_id"] for line in first} == {"job-1"}
    assert "job_id" not in lines(capsys.readouterr().out)[-1]


def test_a_failed_job_is_counted_once_with_its_code_and_its_cost(aws, load, context, capsys):
    # Given a job whose SfM has run for an hour, on a machine whose price is not known
    aws.jobs.create(row(timedelta(hours=1)))
    # When it fails by a time-out, and the state is tried twice
    function = load("record_failure")
    for _ in range(2):
        function.handler({**FAILURE, "failure": {"Error": "States.Timeout"}}, context)
    # Then
    said = capsys.readouterr().out
    assert metrics(said) == {"JobsFailed": 1, "JobFaults": 1, "JobCost": 0}
    told = {(line["code"], line["owner"]) for line in lines(said) if "_aws" in line}
    assert told == {("timeout", "operator")}


def test_photos_that_can_not_be_used_are_no_fault(aws, load, context, capsys):
    aws.jobs.create(row())
    told = json.dumps({"code": "no_overlap", "message": "The photos do not overlap.", "hint": "Fly lower."})
    failure = {"Error": "RefusedError", "Cause": json.dumps({"errorMessage": told})}
    load("record_failure").handler({**FAILURE, "failure": failure}, context)
    assert metrics(capsys.readouterr().out).keys() == {"JobsFailed", "JobCost"}


def test_a_stopped_job_is_counted_by_who_hears_of_its_end(aws, load, context, capsys):
    aws.jobs.create(row(status="STOPPING"))
    detail = {
        "executionArn": ARN,
        "name": "job-1-1",
        "status": "ABORTED",
        "input": json.dumps(FAILURE["input"]),
    }
    load("settle_execution").handler({"detail": detail}, context)
    assert metrics(capsys.readouterr().out) == {"JobsStopped": 1, "JobCost": 0}


def test_a_refused_zip_is_counted_once(aws, load, context, capsys):
    event, function = aws.drop("a.zip", b"no zip"), load("ingest_upload")
    for _ in range(2):
        function.handler(event, context)
    assert metrics(capsys.readouterr().out) == {"JobsRejected": 1}


def test_a_refused_zip_of_a_batch_is_counted_once(aws, load, context, capsys, photo_zip):
    # Given a manifest of a zip, of no zip, and of one that is dropped and refused before it
    event = aws.drop("uploads/ann/old.zip", b"no zip")
    load("ingest_upload").handler(event, context)
    aws.drop("uploads/ann/a.batch/good.zip", photo_zip)
    aws.drop("uploads/ann/a.batch/bad.zip", b"no zip")
    places = ("a.batch/good.zip", "a.batch/bad.zip", "old.zip")
    jobs = [{"s3Url": f"s3://{aws.uploads_bucket}/uploads/ann/{place}"} for place in places]
    manifest = aws.drop("uploads/ann/a.batch.json", json.dumps({"jobs": jobs}).encode())
    capsys.readouterr()
    # When its event comes twice
    function = load("ingest_batch")
    for _ in range(2):
        function.handler(manifest, context)
    # Then
    assert metrics(capsys.readouterr().out) == {"JobsRejected": 1}


def test_a_refused_zip_whose_job_a_request_starts_is_counted_once(aws, load, context, capsys):
    # Given
    event = aws.drop("uploads/ann/bad.zip", b"no zip")
    asked = StartBody.model_validate({"s3Url": f"s3://{aws.uploads_bucket}/uploads/ann/bad.zip"})
    starting = Starting(aws.jobs, Intake(boto3.client("s3")), aws.uploads_bucket)
    # When it is asked for twice, and the drop's own event comes after that
    for _ in range(2):
        starting.start(asked, Caller("ann"), now_iso())
    load("ingest_upload").handler(event, context)
    # Then
    assert metrics(capsys.readouterr().out) == {"JobsRejected": 1}


def test_jobs_that_say_nothing_are_stuck_and_none_is_a_number_too(aws, load, context, capsys):
    # Given a job that runs, as Step Functions sees it
    function = load("reconcile_jobs")
    arn = boto3.client("stepfunctions").start_execution(stateMachineArn=aws.state_machine_arn, name="job-1-1")
    aws.jobs.create(row(timedelta(hours=1), execution_arn=arn["executionArn"]))
    # When
    function.handler({}, context)
    an_hour = metrics(capsys.readouterr().out)
    function.reconcile(datetime.now(UTC) + timedelta(hours=1, minutes=5))
    two_hours = metrics(capsys.readouterr().out)
    # Then
    assert (an_hour, two_hours) == ({"StuckJobs": 0}, {"StuckJobs": 1})


@pytest.mark.parametrize(("kinds", "waits"), [("ml.g4dn.xlarge", 1), ("ml.g4dn.xlarge,ml.g5.xlarge", 0)])
def test_only_a_job_that_waits_counts_as_waiting(aws, load, context, capsys, kinds, waits):
    # Given a plan with one type of machine, or two
    function = load("classify_failure", CAPACITY_WAIT_MINUTES="10", CAPACITY_PATIENCE_HOURS="12")
    machine = Machine.first_of(kinds)
    attempt = Attempt(sfm=machine, training=TrainingMachine.first_of(kinds), compression=machine)
    event = {
        **{"jobId": "job-1", "step": "sfm", "tasks": {"sfm": "job-1-sfm-1"}},
        "attempt": attempt.model_dump(mode="json", by_alias=True),
        "failure": {"Error": "SageMaker.ResourceLimitExceeded", "Cause": "CapacityError: no capacity"},
    }
    # When
    function.handler(event, context)
    # Then
    assert metrics(capsys.readouterr().out).get("CapacityWaits", 0) == waits


def test_the_cost_of_a_retry_is_that_of_its_own_stages(monkeypatch, capsys):
    # Given a job whose training, and nothing before it, was done again
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "spaceport")
    stages = empty_stages()
    stages["sfm"] = stages["sfm"].model_copy(update={"started": "2026-11-23T10:00:00.000Z"})
    stages["3dgs"] = stages["3dgs"].model_copy(update={"started": "2026-11-23T12:00:01.000Z"})
    again = row(request={"pipelineStep": "3dgs"}, stages=stages)
    # When
    metering.job_ended(again, Status.COMPLETED, Bill({"sfm": 1.0, "3dgs": 2.0}, {}))
    # Then
    assert metrics(capsys.readouterr().out) == {"JobsCompleted": 1, "JobCost": 2}


def test_only_metrics_of_the_table_are_measured():
    with pytest.raises(KeyError):
        metering.count("JobsForgotten")
