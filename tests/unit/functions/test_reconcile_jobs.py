"""ReconcileJobs and what it stands on: executions, endings, artifacts; on moto, at a time of the test's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from spaceport.artifacts import Artifacts
from spaceport.ending import ending
from spaceport.executions import MISSING, Execution, Executions, execution_input
from spaceport.job import JobRecord, empty_stages, execution_name, now_iso
from spaceport.queue import Slot, Slots
from spaceport.stages import Status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZIP = "s3://uploads-bucket/a.zip"


def ago(**time: float) -> str:
    return now_iso(NOW - timedelta(**time))


def row_of(**fields: Any) -> JobRecord:
    filled = {
        "job_id": "job-1", "source": ZIP, "created_at": ago(hours=1), "updated_at": ago(hours=1),
        "stages": empty_stages(), **fields,
    }  # fmt: skip
    return JobRecord(**filled)


@pytest.fixture
def executions(aws) -> Executions:
    return Executions(boto3.client("stepfunctions"), aws.state_machine_arn)


@pytest.fixture
def reconcile(load):
    """One round of the reconciler at NOW; `reconcile.module` is the function's module."""
    module = load("reconcile_jobs")

    def once() -> dict[str, Any]:
        return module.reconcile(NOW)

    once.module = module
    return once


def running(executions: Executions, job_id: str = "job-1") -> str:
    """An execution for the job that runs for ever in moto; its ARN."""
    row = row_of(job_id=job_id)
    assert executions.start(row)
    return executions.of(row).arn


# ---- executions ----------------------------------------


def test_a_run_is_started_once_stopped_once_and_found_by_its_name(executions):
    row = row_of()
    # Given a row whose execution there never was
    assert executions.of(row).status == MISSING
    # When it is started, then it runs, and starting it twice is starting it once
    assert executions.start(row)
    executions.start(row)
    execution = executions.of(row)
    assert (execution.name, execution.is_over) == (execution_name("job-1", 1), False)
    # When it is stopped, then it is over; a second stop is no error, nor one of what there never was
    assert executions.stop(execution.arn, "enough")
    assert executions.of(row).status == "ABORTED"
    executions.stop(execution.arn, "enough")
    assert not executions.stop(execution.arn + "0", "enough")
    # And a run that has been is not started again
    assert not executions.start(row)


def test_the_execution_input_holds_what_the_request_says_and_what_only_the_row_knows():
    row = row_of(run=2, request={"preset": "preview", "pipelineStep": "3dgs"}, queued_at=ago(minutes=1))
    given = execution_input(row)
    assert (given.job_id, given.run, given.zip_uri) == ("job-1", 2, ZIP)
    assert (given.preset, given.pipeline_step, given.timestamp) == ("preview", "3dgs", ago(minutes=1))


# ---- endings ----------------------------------------


@pytest.mark.parametrize(
    ("row_status", "execution", "status", "code"),
    [
        (Status.STOPPING, "ABORTED", Status.STOPPED, "stopped"),
        (Status.STOPPING, "SUCCEEDED", Status.STOPPED, "stopped"),
        (Status.STOPPING, "FAILED", Status.STOPPED, "stopped"),
        (Status.STOPPING, MISSING, Status.STOPPED, "stopped"),
        (Status.RUNNING, "ABORTED", Status.STOPPED, "stopped"),
        (Status.RUNNING, "TIMED_OUT", Status.FAILED, "timeout"),
        (Status.RUNNING, "SUCCEEDED", Status.FAILED, "fault"),
        (Status.RUNNING, "FAILED", Status.FAILED, "fault"),
        (Status.RUNNING, MISSING, Status.FAILED, "lost"),
        (Status.QUEUED, "FAILED", Status.FAILED, "fault"),
    ],
)
def test_how_a_job_ends_whose_execution_ended_without_a_word(row_status, execution, status, code):
    ended, error = ending(row_of(status=row_status), Execution("arn", "job-1-1", execution))
    assert (ended, error.code) == (status, code)
    assert error.message
    assert error.hint


# ---- artifacts ----------------------------------------


def fill(aws, job_id: str, count: int) -> None:
    s3 = boto3.client("s3")
    for number in range(count):
        s3.put_object(Bucket=aws.data_bucket, Key=f"jobs/{job_id}/{number}", Body=b"x")


def keys(aws) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=aws.data_bucket).get("Contents", [])
    return [entry["Key"] for entry in found]


def test_discarding_deletes_all_of_the_job_and_nothing_of_another(aws):
    fill(aws, "job-1", 1003)  # more than one call may delete
    fill(aws, "job-10", 1)
    assert Artifacts(boto3.client("s3"), aws.data_bucket).discard("job-1") == 1003
    assert keys(aws) == ["jobs/job-10/0"]


# ---- the round ----------------------------------------


def status_after(aws, job_id: str = "job-1") -> tuple[Status, str | None]:
    row = aws.jobs.get(job_id)
    return row.status, row.error.code if row.error else None


def test_a_job_whose_execution_ended_unseen_ends(aws, executions, reconcile):
    arn = running(executions)
    executions.stop(arn, "by hand")
    aws.jobs.create(row_of(status=Status.RUNNING, execution_arn=arn))
    assert reconcile() == {"looked_at": 1}
    assert status_after(aws) == (Status.STOPPED, "stopped")


@pytest.mark.parametrize(
    ("status", "ends_as"),
    [
        (Status.RUNNING, (Status.FAILED, "lost")),
        (Status.WAITING_CAPACITY, (Status.FAILED, "lost")),
        (Status.STOPPING, (Status.STOPPED, "stopped")),
    ],
)
def test_a_job_that_nothing_runs_ends(aws, executions, reconcile, status, ends_as):
    arn = running(executions, "another")
    aws.jobs.create(row_of(status=status, execution_arn=arn.replace("another-1", "job-1-1")))
    reconcile()
    assert status_after(aws) == ends_as


def test_a_job_that_has_just_begun_is_not_lost(aws, executions, reconcile):
    # Given a row that its execution claimed a moment ago, and a service that does not show that one yet
    arn = running(executions, "another").replace("another-1", "job-1-1")
    aws.jobs.create(row_of(status=Status.RUNNING, execution_arn=arn, updated_at=ago(seconds=5)))
    reconcile()
    assert status_after(aws) == (Status.RUNNING, None)


def test_a_stop_that_did_not_arrive_is_sent_again_after_a_minute(aws, executions, reconcile):
    arns = {job_id: running(executions, job_id) for job_id in ("late", "fresh")}
    for job_id, since in (("late", ago(seconds=61)), ("fresh", ago(seconds=59))):
        aws.jobs.create(
            row_of(job_id=job_id, status=Status.STOPPING, execution_arn=arns[job_id], updated_at=since)
        )
    reconcile()
    assert executions.of(aws.jobs.get("late")).status == "ABORTED"
    assert executions.of(aws.jobs.get("fresh")).status == "RUNNING"


def test_what_waits_is_left_to_the_dispatcher_however_long(aws, executions, reconcile):
    aws.jobs.create(row_of(job_id="long", created_at=ago(days=3)))
    reconcile()
    assert executions.of(aws.jobs.get("long")).status == MISSING


def test_what_holds_a_machine_comes_first_and_of_the_queue_only_who_holds_a_slot(aws, reconcile, monkeypatch):
    for i in range(5):
        aws.jobs.create(row_of(job_id=f"queued-{i}"))
    for status in (Status.RUNNING, Status.STOPPING):
        aws.jobs.create(row_of(job_id=status.lower(), status=status))
    assert aws.slots.write(Slots({"queued-3": Slot("operator", 1, ago(minutes=1))}))
    asked: list[str] = []

    def of(self: Executions, row: JobRecord) -> Execution:
        asked.append(row.job_id)
        return Execution("arn", "name", "RUNNING")

    monkeypatch.setattr(Executions, "of", of)
    monkeypatch.setattr(Executions, "stop", lambda *_: True)
    # When
    reconcile()
    # Then
    assert asked == ["stopping", "running", "queued-3"]


def test_a_job_whose_execution_ended_before_it_could_claim_the_row_ends(aws, executions, reconcile):
    executions.stop(running(executions), "by hand")
    aws.jobs.create(row_of())
    assert aws.slots.write(Slots({"job-1": Slot("operator", 1, ago(minutes=1))}))
    reconcile()
    assert status_after(aws) == (Status.STOPPED, "stopped")


def test_what_runs_well_and_what_has_ended_is_left_alone(aws, executions, reconcile):
    aws.jobs.create(row_of(status=Status.RUNNING, execution_arn=running(executions)))
    aws.jobs.create(row_of(job_id="done", status=Status.COMPLETED))
    reconcile()
    assert aws.jobs.get("job-1").version == aws.jobs.get("done").version == 1


def test_artifacts_are_deleted_again_until_none_can_come_any_more(aws, reconcile):
    stopped = {"status": Status.STOPPED, "discard_artifacts": True}
    aws.jobs.create(row_of(job_id="fresh", updated_at=ago(minutes=9), **stopped))
    aws.jobs.create(row_of(job_id="old", updated_at=ago(minutes=11), **stopped))
    for job_id in ("fresh", "old", "other"):
        fill(aws, job_id, 1)
    reconcile()
    assert keys(aws) == ["jobs/other/0"]
    assert [aws.jobs.get(job_id).awaits_discard for job_id in ("fresh", "old")] == [True, False]


def test_one_job_that_can_not_be_mended_does_not_keep_the_others_waiting(aws, executions, reconcile):
    # Given a row whose execution can't be asked for, and one that can end
    aws.jobs.create(row_of(job_id="bad", status=Status.RUNNING, execution_arn="nowhere"))
    arn = running(executions).replace("job-1-1", "good-1")
    aws.jobs.create(row_of(job_id="good", status=Status.RUNNING, execution_arn=arn))
    # When the round is made, then it fails in the end, naming the one, and the other is mended
    with pytest.raises(RuntimeError, match="1 of 2 jobs could not be mended: bad"):
        reconcile()
    assert status_after(aws, "good") == (Status.FAILED, "lost")
