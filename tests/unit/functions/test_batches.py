"""Batches: what a manifest may say, the jobs it makes, and the row that sums them up; on moto."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from spaceport.batches import MAX_JOBS, MAX_MANIFEST_BYTES, Summing, parse_manifest, sum_of
from spaceport.errors import UserError
from spaceport.executions import Executions
from spaceport.intake import Intake
from spaceport.job import JobRecord, Kind, execution_name, now_iso
from spaceport.queue import HOLDING
from spaceport.stages import TERMINAL, Status
from spaceport.tuning import TuningRequest

FOLDER = "uploads/alice/week.batch"
MANIFEST = "uploads/alice/week.batch.json"


def url(aws, name: str, folder: str = FOLDER) -> str:
    return f"s3://{aws.uploads_bucket}/{folder}/{name}.zip"


@pytest.fixture
def take(aws, load, context):
    """`take(manifest)`: the row of the batch that this manifest, dropped by alice, becomes."""
    handler = load("ingest_batch").handler

    def take(manifest: Any, key: str = MANIFEST) -> JobRecord:
        body = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        take.event = aws.drop(key, body)
        return aws.jobs.get(handler(take.event, context)["batchId"])

    take.again = lambda: handler(take.event, context)
    return take


@pytest.fixture
def zips(aws, photo_zip):
    """Three zips of alice's in the batch's folder."""
    for name in ("a", "b", "c"):
        aws.drop(f"{FOLDER}/{name}.zip", photo_zip)
    return [{"s3Url": url(aws, name)} for name in ("a", "b", "c")]


def changed(row: JobRecord, before: str | None = None) -> dict[str, Any]:
    detail = {
        **{"jobId": row.job_id, "kind": row.kind, "run": row.run, "version": row.version},
        **{"status": row.status, "before": before, "stage": row.stage, "owner": row.owner},
        **{"batchId": row.batch_id, "deleted": False, "time": row.updated_at},
    }
    return {"detail": detail}


# ---- what a manifest makes ----------------------------------------


def test_a_manifest_makes_a_job_of_each_zip_and_a_row_of_its_own(aws, take, zips):
    # Given a manifest with defaults, and one entry that wants something else
    zips[1] |= {"jobName": "The beach", "preset": "quality"}
    batch = take({"name": "Week 12", "defaults": {"preset": "preview"}, "jobs": zips})
    # Then
    assert (batch.kind, batch.owner, batch.job_name) == (Kind.BATCH, "alice", "Week 12")
    assert (batch.status, batch.progress) == (Status.RUNNING, 0)
    rows = [aws.jobs.get(job_id) for job_id in batch.members]
    assert [(row.status, row.batch_id, row.owner) for row in rows] == [
        (Status.QUEUED, batch.job_id, "alice")
    ] * 3
    assert [row.job_name for row in rows] == ["a", "The beach", "c"]
    assert [row.request["preset"] for row in rows] == ["preview", "quality", "preview"]
    assert batch.metrics["queued"] == batch.metrics["jobs"] == 3


def test_a_manifest_that_is_gone_before_it_is_read_is_told(aws, load, context):
    # Given the late event of a manifest, that somebody has deleted for good
    event = aws.drop(MANIFEST, b"{}")
    version = boto3.client("s3").head_object(Bucket=aws.uploads_bucket, Key=MANIFEST)["VersionId"]
    boto3.client("s3").delete_object(Bucket=aws.uploads_bucket, Key=MANIFEST, VersionId=version)
    # When it comes
    row = aws.jobs.get(load("ingest_batch").handler(event, context)["batchId"])
    # Then it is no fault that is tried again, but a batch that is refused
    assert (row.status, row.error.code) == (Status.REJECTED, "no_such_manifest")


def test_a_batch_tells_of_its_end_whom_its_manifest_names(take, zips):
    defaults = {"email": "alice@example.org"}
    assert take({"defaults": defaults, "jobs": zips}).email == "alice@example.org"
    missing = [*zips, {"s3Url": f"{zips[0]['s3Url'][:-5]}missing.zip"}]
    refused = take({"defaults": defaults, "jobs": missing})
    assert (refused.status, refused.wants_letter) == (Status.REJECTED, True)


def test_the_same_event_twice_changes_nothing(aws, take, zips):
    batch = take({"jobs": zips})
    rows = aws.jobs.many([batch.job_id, *batch.members])
    take.again()
    assert aws.jobs.many([batch.job_id, *batch.members]) == rows


def test_what_a_crash_left_out_is_made_by_the_next_try(aws, take, zips):
    # Given a function that died after the first job's row
    batch = take({"jobs": zips})
    table = boto3.resource("dynamodb").Table("jobs")
    for job_id in batch.members[1:]:
        table.delete_item(Key={"jobId": job_id})
    # When the event comes again
    take.again()
    # Then
    assert {row.batch_id for row in aws.jobs.many(batch.members)} == {batch.job_id}
    assert len(aws.jobs.many(batch.members)) == 3


@pytest.fixture
def half_taken(aws, take, zips):
    """A batch whose function died after the first job's row."""
    batch = take({"jobs": zips})
    for job_id in batch.members[1:]:
        boto3.resource("dynamodb").Table("jobs").delete_item(Key={"jobId": job_id})
    return batch


def test_a_zip_that_is_uploaded_anew_after_a_crash_is_taken_as_it_was(aws, take, half_taken, photo_zip):
    aws.drop(f"{FOLDER}/b.zip", photo_zip)
    take.again()
    rows = {row.job_id: row for row in aws.jobs.many(half_taken.members)}
    assert [rows[job_id].status for job_id in half_taken.members] == [Status.QUEUED] * 3
    assert rows[half_taken.members[1]].source_version == half_taken.member_versions[1]


def test_a_zip_that_is_hidden_after_a_crash_is_taken_and_one_that_is_gone_rejected(aws, take, half_taken):
    s3, bucket = boto3.client("s3"), aws.uploads_bucket
    s3.delete_object(Bucket=bucket, Key=f"{FOLDER}/b.zip")
    gone = half_taken.member_versions[2]
    s3.delete_object(Bucket=bucket, Key=f"{FOLDER}/c.zip", VersionId=gone)
    take.again()
    _, hidden, erased = (aws.jobs.get(job_id) for job_id in half_taken.members)
    assert hidden.status is Status.QUEUED
    assert (erased.status, erased.error.code) == (Status.REJECTED, "no_such_zip")


def test_one_zip_that_can_not_be_judged_keeps_no_other_from_its_job(aws, take, zips, monkeypatch):
    judge, faulty = Intake.judge, [True]

    def judge_but_a(self: Intake, bucket: str, key: str, *rest: Any) -> JobRecord:
        if key.endswith("a.zip") and faulty:
            raise ZeroDivisionError
        return judge(self, bucket, key, *rest)

    monkeypatch.setattr(Intake, "judge", judge_but_a)
    with pytest.raises(ExceptionGroup, match="could not be made"):
        take({"jobs": zips})
    assert len(aws.jobs.waiting()) == 2
    # And the next try makes it
    faulty.clear()
    take.again()
    assert len(aws.jobs.waiting()) == 3


def test_its_jobs_are_in_the_manifests_order(aws, take, zips):
    batch = take({"jobs": zips[::-1]})
    listed = [row.job_id for row in aws.jobs.page("alice", 10) if row.kind is Kind.JOB]
    assert listed == batch.members[::-1]
    assert len(aws.jobs.page("alice", 2)) <= 3


def test_a_zip_that_has_its_job_joins_with_it_as_it_is(aws, load, context, take, photo_zip, zips):
    # Given a zip outside the batch's folder, which became a job when it arrived
    event = aws.drop("uploads/alice/early.zip", photo_zip, {"spaceport": '{"preset": "quality"}'})
    early = load("ingest_upload").handler(event, context)["jobId"]
    # When
    batch = take(
        {
            "defaults": {"preset": "preview"},
            "jobs": [*zips, {"s3Url": url(aws, "early", folder="uploads/alice")}],
        }
    )
    # Then
    assert batch.members[3] == early
    row = aws.jobs.get(early)
    assert (row.batch_id, row.request["preset"]) == (batch.job_id, "quality")


def test_a_zip_in_a_batchs_folder_is_left_to_the_manifest(aws, load, context, photo_zip):
    function = load("ingest_upload")
    for key in (f"{FOLDER}/a.zip", "x.batch/deep/a.zip"):
        assert function.handler(aws.drop(key, photo_zip), context)["jobId"] is None
    # And no other is: a name alone is no folder
    assert function.handler(aws.drop("uploads/alice/week.batch.zip", photo_zip), context)["created"]


def test_a_refused_zip_is_a_rejected_job_and_the_others_go_on(aws, take, zips):
    aws.drop(f"{FOLDER}/bad.zip", b"no zip")
    batch = take({"jobs": [*zips, {"s3Url": url(aws, "bad")}]})
    assert aws.jobs.get(batch.members[3]).status is Status.REJECTED
    assert (batch.status, batch.metrics["rejected"]) == (Status.RUNNING, 1)


# ---- what is refused ----------------------------------------


def entries(aws) -> dict[str, tuple[Any, str, str]]:
    """What is wrong → (manifest, code, what the message says)."""
    good, bucket = {"s3Url": url(aws, "a")}, aws.uploads_bucket
    return {
        "not JSON": (b"{", "bad_body", "not JSON"),
        "not an object": ([], "bad_body", "not a JSON object"),
        "no jobs": ({}, "bad_field", "jobs: "),
        "no entries": ({"jobs": []}, "bad_field", "jobs: "),
        "too many": ({"jobs": [good] * (MAX_JOBS + 1)}, "bad_field", "jobs: "),
        "unknown field": ({"jobs": [good, {**good, "speed": 1}]}, "unknown_field", "jobs.1.speed"),
        "bad value": ({"jobs": [{**good, "preset": "best"}]}, "bad_field", "jobs.0.preset"),
        "no zip named": ({"jobs": [good, {}]}, "bad_field", "jobs.1.s3Url"),
        "twice": ({"jobs": [good, good]}, "bad_field", "jobs.0 and jobs.1"),
        "later step": ({"jobs": [{**good, "pipelineStep": "3dgs"}]}, "bad_field", "begin at"),
        "another owner's": (
            {"jobs": [good, {"s3Url": f"s3://{bucket}/uploads/bob/x.zip"}]}, "foreign_s3_uri", "jobs.1.s3Url",
        ),
        "another bucket": (
            {"jobs": [{"s3Url": "s3://elsewhere/uploads/alice/x.zip"}]}, "foreign_s3_uri", "jobs.0.s3Url",
        ),
        "no such zip": ({"jobs": [good, {"s3Url": url(aws, "gone")}]}, "no_such_zip", "jobs.1: "),
        "not a zip": ({"jobs": [{"s3Url": f"s3://{bucket}/{FOLDER}/a.tar"}]}, "not_a_zip", "jobs.0.s3Url"),
        "too large": (b" " * (MAX_MANIFEST_BYTES + 1), "too_large", "256 KB"),
    }  # fmt: skip


@pytest.mark.parametrize("wrong", list(entries(type("Aws", (), {"uploads_bucket": "uploads-bucket"}))))
def test_a_bad_manifest_is_a_rejected_batch_that_names_the_entry_and_makes_no_job(aws, take, zips, wrong):
    manifest, code, said = entries(aws)[wrong]
    batch = take(manifest)
    assert (batch.kind, batch.status, batch.error.code) == (Kind.BATCH, Status.REJECTED, code)
    assert said in batch.error.message
    assert batch.error.hint
    assert aws.jobs.waiting() == []
    assert aws.jobs.page("alice", 10) == [batch]


def test_the_largest_manifest_is_within_the_limit():
    url = f"s3://a-bucket-with-a-name-of-the-usual-length/uploads/somebody/{'x' * 250}.zip"
    jobs = [{"s3Url": url.replace("x", "y", i % 200) + f"{i}.zip"} for i in range(MAX_JOBS)]
    body = json.dumps({"jobs": jobs}).encode()
    assert len(body) < MAX_MANIFEST_BYTES
    assert len(parse_manifest(body).jobs) == MAX_JOBS


# ---- the sum ----------------------------------------


def batch_of(total: int, **fields: Any) -> JobRecord:
    members = [f"job-{i}" for i in range(total)]
    told = {"job_id": "batch-1", "kind": "batch", "status": "RUNNING", "members": members}
    return JobRecord(**{**told, "created_at": now_iso(), "updated_at": now_iso(), **fields})


def rows(*statuses: Status) -> list[JobRecord]:
    return [
        JobRecord(job_id=f"job-{i}", status=status, created_at=now_iso(), updated_at=now_iso())
        for i, status in enumerate(statuses)
    ]


@pytest.mark.parametrize("live", [Status.QUEUED, *HOLDING])
def test_a_batch_runs_until_all_its_jobs_have_ended(live):
    found = sum_of(batch_of(3), rows(Status.COMPLETED, Status.FAILED, live))
    assert (found.status, found.counts["ended"]) == (Status.RUNNING, 2)
    assert found.message == "2 of 3 jobs have ended: 1 completed, 1 failed"
    assert found.counts["queued"] + found.counts["running"] == 1


def test_a_job_that_has_no_row_yet_has_still_to_run():
    found = sum_of(batch_of(2), rows(Status.COMPLETED))
    assert (found.status, found.counts["queued"]) == (Status.RUNNING, 1)


@pytest.mark.parametrize(
    ("statuses", "ends_as", "code"),
    [
        ((Status.COMPLETED, Status.FAILED), Status.COMPLETED, None),
        ((Status.COMPLETED, Status.REJECTED), Status.COMPLETED, None),
        ((Status.STOPPED, Status.STOPPED), Status.STOPPED, None),
        ((Status.STOPPED, Status.FAILED), Status.FAILED, "none_completed"),
        ((Status.REJECTED, Status.REJECTED), Status.FAILED, "none_completed"),
    ],
)
def test_how_a_batch_ends(statuses, ends_as, code):
    found = sum_of(batch_of(2), rows(*statuses))
    assert (found.status, found.error and found.error.code) == (ends_as, code)


def test_a_job_that_was_erased_has_ended(aws, take, zips):
    batch = take({"jobs": zips})
    for job_id in batch.members:
        end(aws, aws.jobs.get(job_id), Status.STOPPED)
    assert aws.jobs.delete(batch.members[0], now_iso())
    assert aws.jobs.entomb(batch.members[0], 0)
    found = Summing(aws.jobs).sum_up(batch.job_id, now_iso())
    assert (found.status, found.message) == (
        Status.STOPPED,
        "3 of 3 jobs have ended: 2 stopped, 1 deleted",
    )


def test_who_is_always_too_late_leaves_the_sum_to_the_others(aws, take, zips, monkeypatch):
    batch = take({"jobs": zips})
    end(aws, aws.jobs.get(batch.members[0]), Status.STOPPED)
    monkeypatch.setattr(aws.jobs, "sum_up", lambda *_: False)
    assert Summing(aws.jobs).sum_up(batch.job_id, now_iso()) is None


def test_the_end_of_a_batch_is_final_though_a_job_is_retried():
    ended = batch_of(2, status=Status.COMPLETED)
    found = sum_of(ended, rows(Status.COMPLETED, Status.RUNNING))
    assert (found.status, found.counts["running"]) == (Status.COMPLETED, 1)


def end(aws, row: JobRecord, status: Status) -> None:
    assert aws.jobs.settle(row, "", status, UserError("x", "y").told(), now_iso(), costs={}, outputs=None)


def test_the_row_follows_its_jobs(aws, load, context, take, zips):
    batch = take({"jobs": zips})
    sum_up = load("sum_up_batch").handler
    # When they end one by one, and each event comes twice
    for i, job_id in enumerate(batch.members):
        end(aws, aws.jobs.get(job_id), Status.FAILED if i == 0 else Status.STOPPED)
        for _ in range(2):
            sum_up(changed(aws.jobs.get(job_id), before="QUEUED"), context)
        seen = aws.jobs.get(batch.job_id)
        assert (seen.metrics["ended"], seen.is_terminal) == (i + 1, i == 2)
        assert seen.version == batch.version + i + 1
    # Then
    assert (seen.status, seen.error.code) == (Status.FAILED, "none_completed")


def test_another_stage_of_a_job_is_no_news_nor_is_one_that_the_manifest_has_just_made(
    aws, load, context, take, zips
):
    batch = take({"jobs": zips})
    row, handler = aws.jobs.get(batch.members[0]), load("sum_up_batch").handler
    assert handler(changed(row, before=row.status), context)["status"] is None
    assert handler(changed(row, before=None), context)["status"] is None
    assert handler(changed(row, before="STOPPED"), context)["status"] == "RUNNING"


def test_of_two_who_sum_up_at_once_the_one_who_saw_less_reads_again(aws, load, context, take, zips):
    batch = take({"jobs": zips})
    function = load("sum_up_batch")
    first, second = (aws.jobs.get(job_id) for job_id in batch.members[:2])
    end(aws, first, Status.STOPPED)
    # Given one that has read, and before it writes another job ends and is summed up
    many, others = function.summing._jobs.many, []

    def many_then_another(job_ids: list[str]) -> list[JobRecord]:
        seen = many(job_ids)
        if not others:
            others.append(None)
            end(aws, second, Status.STOPPED)
            function.handler(changed(second, before="RUNNING"), context)
        return seen

    function.summing._jobs.many = many_then_another
    # When
    function.handler(changed(first, before="RUNNING"), context)
    # Then nothing is lost
    assert aws.jobs.get(batch.job_id).metrics["ended"] == 2


def test_the_reconciler_sums_up_what_no_event_told_of(aws, load, context, take, zips):
    batch = take({"jobs": zips})
    for job_id in batch.members:
        end(aws, aws.jobs.get(job_id), Status.STOPPED)
    load("reconcile_jobs").handler({}, context)
    assert aws.jobs.get(batch.job_id).status is Status.STOPPED


# ---- a batch is no job ----------------------------------------


def test_a_batch_is_neither_started_nor_stopped_nor_retried(aws, load, take, zips):
    batch = take({"jobs": zips})
    dispatch = load("dispatch_jobs").dispatching.dispatch
    assert batch.job_id not in {job.job_id for job in dispatch(now_iso(), batch.job_id).taken}
    assert Executions(boto3.client("stepfunctions"), aws.state_machine_arn).of(batch).status == "MISSING"
    api = load("serve_api")
    for refuse in (
        lambda: api.made_stopping().stop(batch, False, now_iso()),
        lambda: api.retried(batch, None, TuningRequest(), now_iso()),
    ):
        with pytest.raises(UserError, match="is a batch"):
            refuse()


def test_an_execution_that_is_called_after_a_batch_does_not_end_it(aws, load, context, take, zips):
    batch = take({"jobs": zips})
    name = execution_name(batch.job_id, 1)
    arn = f"{aws.state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
    given = {"jobId": batch.job_id, "s3Url": zips[0]["s3Url"]}
    ended = {"executionArn": arn, "name": name, "status": "SUCCEEDED", "input": json.dumps(given)}
    assert not load("settle_execution").handler({"detail": ended}, context)["settled"]
    failure = {"Error": "X", "Cause": ""}
    failed = {"input": given, "executionName": name, "executionArn": arn, "failure": failure}
    assert not load("record_failure").handler(failed, context)["recorded"]
    assert aws.jobs.get(batch.job_id) == batch


def test_its_status_has_its_members_and_its_counts(aws, take, zips):
    view = take({"jobs": zips}).status_view()
    assert (view["kind"], len(view["members"]), view["progress"]) == ("batch", 3, 0)
    assert set(view["metrics"]) >= {"jobs", "queued", "running", "ended", *map(str.lower, TERMINAL)}
