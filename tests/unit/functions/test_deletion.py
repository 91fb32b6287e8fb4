"""Deleted jobs, and what has been kept long enough: on moto's stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from spaceport.callers import Caller
from spaceport.changes import change_in
from spaceport.connections import Follower
from spaceport.erasure import LOG_GROUPS
from spaceport.history import History
from spaceport.job import (
    JobRecord,
    Kind,
    PipelineStep,
    batch_id_for,
    empty_stages,
    job_id_for,
    now_iso,
)
from spaceport.jobs import TOMBSTONE_S
from spaceport.links import Link, digest_of
from spaceport.retention import INTERMEDIATES
from spaceport.shared_files import SharedFiles
from spaceport.stages import TERMINAL, Status

ROOT = Path(__file__).resolve().parents[3]
EVENT: dict[str, Any] = json.loads((ROOT / "events" / "job_changed.json").read_text())
KEPT = ("colmap/sparse/points.ply", "gaussian/model.ply", "compressed/model.sog")


@pytest.fixture
def put(aws) -> Callable[..., JobRecord]:
    """`put("job-1", days=3, status=...)`: a row that was last written then."""

    def put(job_id: str, days: float = 0, **fields: Any) -> JobRecord:
        then = now_iso(datetime.now(UTC) - timedelta(days=days))
        told = {"job_id": job_id, "owner": "ann", "created_at": then, "updated_at": then}
        row = JobRecord.model_validate({**told, "stages": empty_stages(), **fields})
        assert aws.jobs.create(row)
        return row

    return put


@pytest.fixture
def streams(aws) -> Callable[[], set[str]]:
    """The names of all log streams of SageMaker jobs; the groups are there."""
    logs = boto3.client("logs")
    for group in LOG_GROUPS:
        logs.create_log_group(logGroupName=group)

    def names() -> set[str]:
        listed = [logs.describe_log_streams(logGroupName=group)["logStreams"] for group in LOG_GROUPS]
        return {stream["logStreamName"] for streams in listed for stream in streams}

    return names


def put_objects(aws: Any, job_id: str, *names: str) -> None:
    for name in names:
        boto3.client("s3").put_object(Bucket=aws.data_bucket, Key=f"jobs/{job_id}/{name}", Body=b"x")


def keys(aws: Any) -> set[str]:
    listed = boto3.client("s3").list_objects_v2(Bucket=aws.data_bucket).get("Contents", [])
    return {found["Key"] for found in listed}


def age(aws: Any, job_id: str, minutes: float) -> None:
    """Have the row be last written that long ago."""
    boto3.resource("dynamodb").Table("jobs").update_item(
        Key={"jobId": job_id},
        UpdateExpression="SET updatedAt = :then",
        ExpressionAttributeValues={":then": now_iso(datetime.now(UTC) - timedelta(minutes=minutes))},
    )


def told_of(job_id: str) -> dict[str, Any]:
    return {**EVENT, "detail": {**EVENT["detail"], "jobId": job_id, "deleted": True}}


# ---- deletion ----------------------------------------


def test_a_deleted_job_leaves_a_tombstone_and_others_lose_nothing(aws, put, load, context, streams):
    # Given two jobs, the id of one of which is the other's beginning, with something in every store
    version = boto3.client("s3").put_object(Bucket=aws.uploads_bucket, Key="uploads/ann/a.zip", Body=b"x")
    job_id = job_id_for(aws.uploads_bucket, "uploads/ann/a.zip", version["VersionId"])
    boto3.client("s3").put_object(Bucket=aws.uploads_bucket, Key="uploads/ann/a.zip", Body=b"newer")
    source = {"source": f"s3://{aws.uploads_bucket}/uploads/ann/a.zip"}
    other = f"{job_id}-2"
    put(job_id, days=1, status=Status.COMPLETED, source_version=version["VersionId"], **source)
    put(other, status=Status.COMPLETED, **source)
    history = History(boto3.resource("dynamodb").Table("history"))
    for record in aws.stream():
        assert history.append(change_in(record["dynamodb"]))
    for one in (job_id, other):
        put_objects(aws, one, "extracted/photo.jpg", *KEPT)
        aws.connections.subscribe(one, Follower("connection-1", Caller("ann")))
        link = Link(one, digest_of("x" * 43), now_iso(), now_iso())
        aws.links.put(link)
        put_objects(aws, one, "compressed/viewer/index.html")
        copied = SharedFiles(boto3.client("s3"), aws.data_bucket).copy(
            f"s3://{aws.data_bucket}/jobs/{one}/compressed/", False, link
        )
        assert copied == 2
        boto3.client("logs").create_log_stream(
            logGroupName=LOG_GROUPS[0], logStreamName=f"{one}-sfm-1-0/algo-1-1"
        )
    # When the first is deleted, and the event of it comes twice
    assert aws.jobs.delete(job_id, now_iso())
    forget = load("forget_job").handler
    answers = [forget(told_of(job_id), context)["erased"] for _ in range(2)]
    # Then only its tombstone is there, which no index has
    assert answers == [True, False]
    assert aws.jobs.get(job_id) is None
    (tomb,) = [i for i in boto3.resource("dynamodb").Table("jobs").scan()["Items"] if i["jobId"] == job_id]
    assert set(tomb) == {"jobId", "expiresAt"}
    assert abs(int(tomb["expiresAt"]) - datetime.now(UTC).timestamp() - TOMBSTONE_S) < 60
    assert [row.job_id for row in aws.jobs.page("ann", 20)] == [other]
    # And in all other stores there is what belongs to the other
    left = {key for key in keys(aws) if not key.startswith("shared/")}
    assert left == {
        f"jobs/{other}/{name}" for name in ("extracted/photo.jpg", "compressed/viewer/index.html", *KEPT)
    }
    assert len(keys(aws) - left) == 2
    assert (aws.links.of(job_id), len(aws.links.of(other))) == ([], 1)
    versions = boto3.client("s3").list_object_versions(Bucket=aws.uploads_bucket)
    assert version["VersionId"] not in {found["VersionId"] for found in versions["Versions"]}
    assert len(versions["Versions"]) == 1
    assert streams() == {f"{other}-sfm-1-0/algo-1-1"}
    assert (aws.connections.followers(job_id), len(aws.connections.followers(other))) == ([], 1)
    assert (history.page(job_id, 10), len(history.page(other, 10))) == ([], 1)
    # And the upload's event, should it come late, makes no job of it
    fresh = JobRecord(job_id=job_id, created_at=now_iso(), updated_at=now_iso())
    assert not aws.jobs.create(fresh)


def test_a_deleted_batch_takes_its_manifest_with_it(aws, put, load, context, streams):
    # Given a batch, of the last but one of a manifest's versions
    key, s3 = "uploads/ann/week.batch.json", boto3.client("s3")
    first, second = (s3.put_object(Bucket=aws.uploads_bucket, Key=key, Body=b"{}") for _ in range(2))
    batch_id = batch_id_for(aws.uploads_bucket, key, first["VersionId"])
    source = {"source": f"s3://{aws.uploads_bucket}/{key}", "source_version": first["VersionId"]}
    put(batch_id, days=1, kind=Kind.BATCH, status=Status.COMPLETED, **source)
    # When it is deleted
    assert aws.jobs.delete(batch_id, now_iso())
    assert load("forget_job").handler(told_of(batch_id), context)["erased"]
    # Then that version is gone, and no other
    versions = s3.list_object_versions(Bucket=aws.uploads_bucket)["Versions"]
    assert [found["VersionId"] for found in versions] == [second["VersionId"]]


def test_a_history_that_is_written_once_more_after_its_erasure_is_erased_too(
    aws, put, load, context, streams
):
    # Given a job that is erased
    put("job-1", days=1, status=Status.COMPLETED)
    assert aws.jobs.delete("job-1", now_iso())
    forget = load("forget_job").handler
    forget(told_of("job-1"), context)
    # When its changes are published once more, as after a failure, the deletion among them
    history = History(boto3.resource("dynamodb").Table("history"))
    published = [change_in(record["dynamodb"]) for record in aws.stream()[:2]]
    assert [history.append(change) for change in published if change] == [True, True]
    forget(told_of("job-1"), context)
    # Then
    assert history.page("job-1", 10) == []


@pytest.mark.parametrize("entombed", [False, True])
def test_a_deleted_batchs_late_manifest_enrols_nobody(aws, load, context, photo_zip, entombed):
    # Given a batch that was refused, as its zip was missing, and is deleted
    zip_key = "uploads/alice/week.batch/a.zip"
    manifest = json.dumps({"jobs": [{"s3Url": f"s3://{aws.uploads_bucket}/{zip_key}"}]}).encode()
    event = aws.drop("uploads/alice/week.batch.json", manifest)
    ingest = load("ingest_batch").handler
    batch_id = ingest(event, context)["batchId"]
    assert aws.jobs.delete(batch_id, now_iso())
    if entombed:
        assert aws.jobs.entomb(batch_id, 0)
    # When its event comes again, now that the zip is there
    aws.drop(zip_key, photo_zip)
    ingest(event, context)
    # Then there are no jobs
    assert [row.job_id for row in aws.jobs.page("alice", 10) if row.deleted_at is None] == []


def test_a_job_is_forgotten_though_a_log_group_is_deleted(aws, put, load, context, streams):
    # Given a deleted job that has printed, and an account whose group of training jobs' logs is gone
    put("job-1", days=1, status=Status.COMPLETED)
    processing, training = LOG_GROUPS
    logs = boto3.client("logs")
    logs.create_log_stream(logGroupName=processing, logStreamName="job-1-sfm-1-0/algo-1-1")
    logs.delete_log_group(logGroupName=training)
    assert aws.jobs.delete("job-1", now_iso())
    # When
    load("forget_job").handler(told_of("job-1"), context)
    # Then
    assert aws.jobs.get("job-1") is None
    logs.create_log_group(logGroupName=training)
    assert streams() == set()


def test_what_is_not_deleted_is_not_erased(aws, put, load, context, streams):
    put("job-1", status=Status.COMPLETED)
    put_objects(aws, "job-1", *KEPT)
    assert load("forget_job").handler(told_of("job-1"), context)["erased"] is False
    assert len(keys(aws)) == len(KEPT)
    assert not aws.jobs.entomb("job-1", 0)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_a_task_uploads_after_its_jobs_deletion_is_erased_too(
    aws, put, load, context, streams, monkeypatch, status
):
    # Given a job that is deleted right after its end, while SageMaker still ends its task
    put("job-1", status=status, discard_artifacts=status is Status.STOPPED)
    put_objects(aws, "job-1", "checkpoints/1")
    assert aws.jobs.delete("job-1", now_iso())
    forget, reconcile = load("forget_job").handler, load("reconcile_jobs").reconcile
    # Then it is erased at once, but stays, hidden
    forget(told_of("job-1"), context)
    assert keys(aws) == set()
    assert aws.jobs.get("job-1").deleted_at is not None
    # And when the task has uploaded what it left, and nothing more can come
    put_objects(aws, "job-1", "training/model.ply")
    boto3.client("logs").create_log_stream(
        logGroupName=LOG_GROUPS[1], logStreamName="job-1-3dgs-1-0/algo-1-1"
    )
    deletions = len(aws.stream())
    now = datetime.now(UTC)
    reconcile(now + timedelta(minutes=5))
    assert len(aws.stream()) == deletions
    for minutes in (11, 16):
        reconcile(now + timedelta(minutes=minutes))
    # Then the reconciler has asked once for the last erasure, which entombs the job
    assert len(aws.stream()) == deletions + 1
    assert change_in(aws.stream()[-1]["dynamodb"]).row.deleted_at == now_iso(now + timedelta(minutes=11))
    age(aws, "job-1", minutes=11)
    forget(told_of("job-1"), context)
    assert (keys(aws), streams()) == (set(), set())
    assert aws.jobs.get("job-1") is None
    assert aws.jobs.deleted() == []


def test_an_erasure_that_was_not_finished_is_asked_for_every_day(aws, put, load):
    put("job-1", days=1, status=Status.COMPLETED)
    assert aws.jobs.delete("job-1", now_iso(datetime.now(UTC) - timedelta(hours=3)))
    tidy = load("tidy_jobs", RESULTS_DAYS="0").tidy
    assert [tidy(datetime.now(UTC))["tidied"] for _ in range(2)] == [1, 0]


def test_a_zip_that_is_another_jobs_stays(aws, put, load, context, streams):
    # Given an execution that was started by hand with somebody's zip
    boto3.client("s3").put_object(Bucket=aws.uploads_bucket, Key="uploads/ann/a.zip", Body=b"x")
    put("by-hand", status=Status.FAILED, source=f"s3://{aws.uploads_bucket}/uploads/ann/a.zip")
    aws.jobs.delete("by-hand", now_iso())
    # When its job is forgotten
    assert load("forget_job").handler(told_of("by-hand"), context)["erased"]
    # Then
    assert boto3.client("s3").list_objects_v2(Bucket=aws.uploads_bucket)["KeyCount"] == 1


@pytest.mark.parametrize("status", list(Status))
def test_only_an_ended_job_can_be_deleted(aws, put, status):
    put("job-1", status=status)
    assert aws.jobs.delete("job-1", now_iso()) is (status in TERMINAL)


# ---- what has been kept long enough ----------------------------------------


def test_intermediates_go_after_two_weeks_and_results_when_the_stack_says_so(aws, put, load, context):
    # Given jobs of different ages on a stack that keeps results for a month
    for job_id, days in (("new", 1), ("old", 20), ("ancient", 40)):
        put(job_id, days, status=Status.COMPLETED)
        put_objects(aws, job_id, *(f"{folder}file" for folder in INTERMEDIATES), *KEPT)
    put("running", 50, status=Status.RUNNING)
    put("half-erased", 1, status=Status.FAILED, deleted_at=now_iso(datetime.now(UTC) - timedelta(hours=3)))
    tidy = load("tidy_jobs", RESULTS_DAYS="30").handler
    # When the stack is tidied
    assert tidy({}, context) == {"tidied": 3}
    # Then the old one has its results only, and the new one all
    assert {key for key in keys(aws) if "/old/" in key} == {f"jobs/old/{name}" for name in KEPT}
    assert len([key for key in keys(aws) if "/new/" in key]) == len(KEPT) + len(INTERMEDIATES)
    # And the ancient one is deleted, which forget_job hears of, as it does of the half-erased one again
    deletions = [change_in(record["dynamodb"]) for record in aws.stream() if "OldImage" in record["dynamodb"]]
    assert {change.row.job_id for change in deletions if change} == {"ancient", "half-erased"}
    # And a moment later there is nothing to do
    assert tidy({}, context) == {"tidied": 0}


def test_results_are_kept_for_ever_unless_the_stack_says_otherwise(aws, put, load, context):
    put("ancient", 4000, status=Status.COMPLETED, intermediates_discarded=True)
    assert load("tidy_jobs", RESULTS_DAYS="0").handler({}, context) == {"tidied": 0}


def test_one_job_that_can_not_be_tidied_keeps_no_other_waiting(aws, put, load, context, monkeypatch):
    for job_id in ("job-1", "job-2", "job-3"):
        put(job_id, 20, status=Status.COMPLETED)
        put_objects(aws, job_id, "training/model.ply")
    function = load("tidy_jobs", RESULTS_DAYS="0")
    discard = function.artifacts.discard_folders

    def discard_or_fail(job_id: str, folders: Any) -> int:
        if job_id == "job-2":
            raise RuntimeError("S3 kept some of them")
        return discard(job_id, folders)

    monkeypatch.setattr(function.artifacts, "discard_folders", discard_or_fail)
    with pytest.raises(RuntimeError, match="1 jobs could not be tidied: job-2"):
        function.handler({}, context)
    assert keys(aws) == {"jobs/job-2/training/model.ply"}
    # And no retry begins with what is half gone, which goes the next day
    assert aws.jobs.get("job-2").next_step is PipelineStep.SFM
    monkeypatch.setattr(function.artifacts, "discard_folders", discard)
    assert function.handler({}, context) == {"tidied": 1}
    assert keys(aws) == set()


def test_a_job_that_is_retried_while_the_stack_is_tidied_keeps_all(aws, put, load, context, monkeypatch):
    # Given an ended job that its owner retries once it was read as one to tidy
    ended = put("job-1", 20, status=Status.FAILED)
    put_objects(aws, "job-1", "colmap/dense/scene", "training/model.ply")
    function = load("tidy_jobs", RESULTS_DAYS="0")
    monkeypatch.setattr(function.jobs, "all", lambda at_once: iter([ended]))
    assert aws.jobs.reopen(ended, ended.reopened(PipelineStep.TRAINING, {}, now_iso()))
    # When the stack is tidied
    function.handler({}, context)
    # Then
    assert keys(aws) == {"jobs/job-1/colmap/dense/scene", "jobs/job-1/training/model.ply"}
    assert not aws.jobs.get("job-1").discard_intermediates
