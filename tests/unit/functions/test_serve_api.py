"""The HTTP API's handler as API Gateway calls it: who may do what, and how each refusal is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from spaceport.answers import Limits, Queue
from spaceport.archive import Limits as ZipLimits
from spaceport.callers import Caller
from spaceport.connections import MAX_SUBSCRIPTIONS
from spaceport.executions import Executions, execution_input
from spaceport.job import MAX_RUNS, JobRecord, PipelineStep, StageRecord, empty_stages, job_id_for, now_iso
from spaceport.stages import ACTIVE, TERMINAL, Status

ANN, ADMIN = {"username": "ann"}, {"username": "operator", "cognito:groups": "[pilots admins]"}
TASK, ZIP = "job-1-sfm-1", "s3://uploads/uploads/ann/beach.zip"


@dataclass(frozen=True)
class Answer:
    """What the function answers."""

    status: int
    media_type: str
    body: dict[str, Any]

    @property
    def refusal(self) -> tuple[int, str]:
        """The HTTP status and our code. Fails the test where it is no problem document."""
        assert self.media_type == "application/problem+json"
        assert self.body["status"] == self.status
        assert self.body["type"] == "about:blank"
        assert self.body["title"]
        assert self.body["detail"]
        return self.status, self.body["code"]


Call = Callable[..., Answer]


@pytest.fixture
def call(aws, load, context) -> Call:
    """`call("POST", "/stop-job", {...}, by=ANN)`: the answer. `call.module` is the function's module."""
    module = load("serve_api", STATE_MACHINE_ARN=aws.state_machine_arn)

    def request(
        method: str,
        path: str,
        body: Any = None,
        *,
        by: dict[str, str] = ANN,
        query: dict[str, str] | None = None,
        text: str | None = None,
        **fields: Any,
    ) -> Answer:
        event = {
            "version": "2.0",
            "routeKey": f"{method} {path}",
            "rawPath": f"/prod{path}",
            "rawQueryString": "",
            "headers": {"content-type": "application/json"},
            "requestContext": {
                "stage": "prod",
                "http": {"method": method, "path": f"/prod{path}"},
                "authorizer": {"jwt": {"claims": by, "scopes": None}},
            },
            "isBase64Encoded": False,
            **({"queryStringParameters": query} if query else {}),
            **({"body": json.dumps(body) if text is None else text} if (body, text) != (None, None) else {}),
            **fields,
        }
        told = module.handler(event, context)
        headers = {name.lower(): value for name, value in told["headers"].items()}
        return Answer(told["statusCode"], headers["content-type"], json.loads(told["body"]))

    request.module = module
    return request


@pytest.fixture
def put(aws) -> Callable[..., JobRecord]:
    """`put(status=...)`: a row of Ann's with these fields."""

    def put(**fields: Any) -> JobRecord:
        base = {
            "job_id": "job-1",
            "owner": "ann",
            "created_at": now_iso(),
            "updated_at": now_iso(),
            "source": ZIP,
        }
        row = JobRecord.model_validate({**base, "stages": empty_stages(), **fields})
        assert aws.jobs.create(row)
        return row

    return put


@pytest.fixture
def upload(aws, photo_zip) -> Callable[..., str]:
    """`upload("uploads/ann/beach.zip")`: puts a zip there; its S3 URI."""

    def upload(key: str, body: bytes = photo_zip) -> str:
        boto3.client("s3").put_object(Bucket=aws.uploads_bucket, Key=key, Body=body)
        return f"s3://{aws.uploads_bucket}/{key}"

    return upload


def done(*names: str) -> dict[str, StageRecord]:
    """Stages, of which those named have ended."""
    return {**empty_stages(), **{name: StageRecord(started=now_iso(), ended=now_iso()) for name in names}}


def row_of(aws, job_id: str) -> JobRecord:
    row = aws.jobs.get(job_id)
    assert row is not None
    return row


# ---- start ----------------------------------------


def test_a_zip_is_started_with_what_the_body_asks_for(aws, call, upload):
    # Given a zip of Ann's, whose event has not come yet
    uri = upload("uploads/ann/beach.zip")
    # When she starts it with a name, a preset and tuning
    body = {"s3Url": uri, "jobName": "Beach", "email": "a@example.org", "preset": "preview"}
    told = call("POST", "/start-job", {**body, "tuning": {"max_iterations": 700, "holdout": 8}})
    # Then its row is queued with all of it, and the execution's input can be made of it
    assert told.status == 202
    assert told.body == {"jobId": told.body["jobId"], "status": "QUEUED", "created": True}
    row = row_of(aws, told.body["jobId"])
    assert (row.owner, row.job_name, row.email) == ("ann", "Beach", "a@example.org")
    given = execution_input(row)
    assert (given.preset, given.max_iterations, given.holdout) == ("preview", 700, 8)


def test_the_drop_and_the_request_make_one_job_whichever_comes_first(aws, load, context, call, photo_zip):
    # Given two drops: one whose event comes before the request, one whose event comes after
    ingest = load("ingest_upload").handler
    early = aws.drop("uploads/ann/early.zip", photo_zip)
    late = aws.drop("uploads/ann/late.zip", photo_zip)
    ids = {}
    ids["early"] = ingest(early, context)["jobId"]
    told = {
        name: call("POST", "/start-job", {"s3Url": f"s3://{aws.uploads_bucket}/uploads/ann/{name}.zip"}).body
        for name in ("early", "late")
    }
    second = ingest(late, context)
    # Then each has one row
    assert (told["early"]["jobId"], told["early"]["created"]) == (ids["early"], False)
    assert told["late"]["created"]
    assert (second["jobId"], second["created"]) == (told["late"]["jobId"], False)


def test_the_newest_version_is_started(aws, call, upload):
    first = call("POST", "/start-job", {"s3Url": upload("uploads/ann/beach.zip")}).body["jobId"]
    second = call("POST", "/start-job", {"s3Url": upload("uploads/ann/beach.zip")}).body["jobId"]
    assert first != second


def test_a_bad_zip_becomes_a_rejected_row(aws, call, upload):
    told = call("POST", "/start-job", {"s3Url": upload("uploads/ann/holiday.zip", b"no zip")})
    assert (told.status, told.body["status"]) == (202, "REJECTED")
    row = row_of(aws, told.body["jobId"])
    assert row.error is not None
    assert row.error.code == "not_a_zip"


@pytest.mark.parametrize("by", [ANN, ADMIN])
def test_only_own_uploads_of_this_stack_can_be_started(aws, call, upload, by):
    upload("uploads/ben/beach.zip")
    upload("beach.zip")  # the operator's
    foreign = ["s3://elsewhere/uploads/ann/beach.zip", f"s3://{aws.data_bucket}/uploads/ann/beach.zip"]
    others = [f"s3://{aws.uploads_bucket}/{key}" for key in ("uploads/ben/beach.zip", "beach.zip")]
    for uri in [*foreign, *([] if by is ADMIN else others)]:
        told = call("POST", "/start-job", {"s3Url": uri}, by=by)
        assert told.refusal == (400, "foreign_s3_uri")
        assert "s3Url" in told.body["detail"]
    if by is ADMIN:
        assert [call("POST", "/start-job", {"s3Url": uri}, by=by).status for uri in others] == [202, 202]


def test_a_zip_that_is_not_there_is_not_found(aws, call):
    uri = f"s3://{aws.uploads_bucket}/uploads/ann/nothing.zip"
    assert call("POST", "/start-job", {"s3Url": uri}).refusal == (404, "no_such_zip")


@pytest.mark.parametrize("status", [403, 400])
def test_a_zip_that_s3_does_not_tell_of_is_not_found(aws, call, status):
    # Given S3's answer where nothing may be listed, and to a key that is too long for it
    answer = SimpleNamespace(status_code=status, headers={}, content=b"", raw=None)
    s3 = call.module.made_s3()
    s3.meta.events.register("before-send.s3.HeadObject", lambda **_: answer)
    uri = f"s3://{aws.uploads_bucket}/uploads/ann/{'ü' * 600}.zip"
    assert call("POST", "/start-job", {"s3Url": uri}).refusal == (404, "no_such_zip")


def test_parts_go_to_the_bucket_s_address_in_its_region(aws, call):
    # Given an upload that has begun
    begun = call("POST", "/uploads", {"fileName": "beach.zip", "bytes": 6_000_000}).body
    # When its parts' addresses are asked for
    asked = {"key": begun["key"], "numbers": [1]}
    (part,) = call("POST", f"/uploads/{begun['uploadId']}/parts", asked).body["parts"]
    # Then they are good at once, and in regions of after March 2019: S3 sends nobody on to another
    assert part["url"].startswith(f"https://{aws.uploads_bucket}.s3.eu-west-1.amazonaws.com/uploads/ann/")


def test_a_body_that_does_not_fit_is_refused_by_every_route(call, put):
    put()
    for path in ("/start-job", "/stop-job", "/jobs/job-1/retry", "/ws-ticket"):
        for text, refusal in (
            ("{", (400, "bad_body")),
            ("[]", (400, "bad_body")),
            ("null", (400, "bad_body")),
            ("[" * 50_000, (400, "bad_body")),
            (json.dumps({"a": "x" * 70_000}), (413, "too_large")),
            (
                '{"sfmImageUri": "evil/image", "s3Url": "s3://uploads/a.zip", "jobId": "job-1"}',
                (400, "unknown_field"),
            ),
        ):
            assert call("POST", path, text=text).refusal == refusal


def test_bytes_that_are_no_text_are_refused(call):
    told = call("POST", "/start-job", text=base64.b64encode(b"\xff\xfe\x00").decode(), isBase64Encoded=True)
    assert told.refusal == (400, "bad_body")


def test_a_body_in_base64_is_read(call, upload):
    # API Gateway encodes every body whose media type it does not know as text
    body = json.dumps({"s3Url": upload("uploads/ann/beach.zip")}).encode()
    assert (
        call("POST", "/start-job", text=base64.b64encode(body).decode(), isBase64Encoded=True).status == 202
    )


# ---- start at a later step ----------------------------------------


@pytest.fixture
def beach(aws, upload, put) -> Callable[..., dict[str, Any]]:
    """`beach(status=...)`: a zip whose job has a row with these fields; the body that starts it."""

    def beach(**fields: Any) -> dict[str, Any]:
        uri = upload("uploads/ann/beach.zip")
        version = boto3.client("s3").head_object(Bucket=aws.uploads_bucket, Key="uploads/ann/beach.zip")[
            "VersionId"
        ]
        put(job_id=job_id_for(aws.uploads_bucket, "uploads/ann/beach.zip", version), source=uri, **fields)
        return {"s3Url": uri}

    return beach


def test_a_later_step_of_an_ended_job_is_a_new_run_with_the_given_tuning(aws, call, beach):
    body = beach(status=Status.COMPLETED, stages=done("sfm", "3dgs", "compression"), model_s3_uri="s3://m/x/")
    told = call("POST", "/start-job", {**body, "pipelineStep": "3dgs", "tuning": {"max_iterations": 50}})
    assert told.status == 202
    row = row_of(aws, told.body["jobId"])
    assert (row.status, row.run) == (Status.QUEUED, 2)
    given = execution_input(row)
    assert (given.pipeline_step, given.max_iterations) == (PipelineStep.TRAINING, 50)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"status": Status.RUNNING}, (409, "job_active")),
        ({"status": Status.QUEUED}, (409, "job_active")),
        ({"status": Status.STOPPING}, (409, "job_active")),
        ({"status": Status.FAILED}, (409, "no_artifacts")),
        ({"status": Status.REJECTED}, (409, "rejected")),
        ({"status": Status.FAILED, "stages": done("sfm"), "run": MAX_RUNS}, (409, "too_many_runs")),
    ],
)
def test_a_later_step_that_can_not_be_done_is_refused(call, beach, fields, refusal):
    told = call("POST", "/start-job", {**beach(**fields), "pipelineStep": "3dgs"})
    assert told.refusal == refusal


def test_a_later_step_of_a_job_that_never_was_is_refused(call, upload):
    body = {"s3Url": upload("uploads/ann/beach.zip"), "pipelineStep": "compression"}
    assert call("POST", "/start-job", body).refusal == (409, "no_artifacts")


# ---- stop ----------------------------------------


@pytest.fixture
def running(aws, put) -> JobRecord:
    """A job in SfM: its execution runs, and so does its SageMaker job's second attempt."""
    definition = '{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}}}'
    step_functions = boto3.client("stepfunctions")
    step_functions.update_state_machine(stateMachineArn=aws.state_machine_arn, definition=definition)
    waiting = JobRecord(job_id="job-1", source=ZIP, created_at=now_iso(), updated_at=now_iso())
    executions = Executions(step_functions, aws.state_machine_arn)
    executions.start(waiting)
    boto3.client("sagemaker").create_processing_job(
        ProcessingJobName=f"{TASK}-1",
        RoleArn="arn:aws:iam::123456789012:role/jobs",
        AppSpecification={"ImageUri": "sfm"},
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
    )
    return put(
        status=Status.RUNNING, stage="sfm", stage_index=1, task=TASK, execution_arn=executions.of(waiting).arn
    )


def test_a_running_job_is_stopping_and_what_runs_is_stopped(aws, call, running):
    told = call("POST", "/stop-job", {"jobId": "job-1", "discardArtifacts": True})
    assert (told.status, told.body["status"]) == (202, "STOPPING")
    assert row_of(aws, "job-1").discard_artifacts
    assert Executions(boto3.client("stepfunctions"), aws.state_machine_arn).of(running).status == "ABORTED"
    stopped = boto3.client("sagemaker").describe_processing_job(ProcessingJobName=f"{TASK}-1")
    assert stopped["ProcessingJobStatus"] == "Stopped"


def test_a_second_stop_repeats_what_may_have_been_lost(aws, call, running):
    # Given a stop that got no further than the row
    aws.jobs.request_stop("job-1", False, now_iso())
    # When it is asked for again
    told = call("POST", "/stop-job", {"jobId": "job-1"})
    # Then nothing is news, but the execution ends
    assert (told.status, told.body["status"]) == (200, "STOPPING")
    assert Executions(boto3.client("stepfunctions"), aws.state_machine_arn).of(running).status == "ABORTED"
    assert call("POST", "/stop-job", {"jobId": "job-1"}).status == 200


def test_a_waiting_job_is_stopped_at_once(aws, call, put):
    put(status=Status.QUEUED)
    told = call("POST", "/stop-job", {"jobId": "job-1", "discardArtifacts": True})
    assert (told.status, told.body["status"]) == (202, "STOPPED")
    assert row_of(aws, "job-1").awaits_discard  # a retry that waits may have artifacts of its last run
    again = call("POST", "/stop-job", {"jobId": "job-1"})
    assert (again.status, again.body["status"]) == (200, "STOPPED")


@pytest.mark.parametrize("status", [Status.STOPPING, Status.STOPPED])
def test_a_later_stop_may_still_ask_for_the_deletion_but_not_take_it_back(aws, call, put, status):
    # Given a job that was stopped, and keeps what it has made
    put(status=status, stages=done("sfm"))
    # When it is stopped again, discarding that, and then once more without
    for discards in (True, False):
        told = call("POST", "/stop-job", {"jobId": "job-1", "discardArtifacts": discards})
        assert (told.status, told.body["status"]) == (200, status.value)
    # Then it is to be deleted, asked for once, and a retry has to begin anew
    row = row_of(aws, "job-1")
    assert (row.discard_artifacts, row.version, row.next_step) == (True, 2, PipelineStep.SFM)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.STOPPING, Status.STOPPED])
def test_a_new_run_of_a_finished_job_is_not_discarded_for_its_model_would_be_too(aws, call, put, status):
    # Given a job whose model of before is there
    put(status=status, outputs={"sog": "s3://data/model.sog"}, earlier_results=True)
    # When its new run is to be stopped and discarded, Then that is refused, and nothing done
    told = call("POST", "/stop-job", {"jobId": "job-1", "discardArtifacts": True})
    assert told.refusal == (409, "has_results")
    row = row_of(aws, "job-1")
    assert (row.status, row.discard_artifacts, row.outputs.sog) == (status, False, "s3://data/model.sog")
    # But a stop is a stop
    assert call("POST", "/stop-job", {"jobId": "job-1"}).status in (200, 202)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.REJECTED])
def test_a_finished_job_can_not_be_stopped(call, put, status):
    put(status=status)
    assert call("POST", "/stop-job", {"jobId": "job-1"}).refusal == (409, "job_over")


def test_a_stop_that_is_not_understood_is_refused(call, put):
    put(status=Status.QUEUED)
    fits = {"jobId": "job-1"}
    for body in ({}, {"jobId": 7}, fits | {"discardArtifacts": "yes"}, fits | {"why": "?"}):
        assert call("POST", "/stop-job", body).status == 400


# ---- retry ----------------------------------------


def test_a_retry_begins_where_the_last_run_got_stuck(aws, call, put):
    put(status=Status.STOPPED, stages=done("sfm"), request={"preset": "preview"})
    told = call("POST", "/jobs/job-1/retry")
    assert (told.status, told.body) == (202, {"jobId": "job-1", "run": 2, "pipelineStep": "3dgs"})
    row = row_of(aws, "job-1")
    assert (row.status, execution_input(row).preset) == (Status.QUEUED, "preview")


def test_a_retry_may_begin_earlier_but_not_later(call, put):
    put(status=Status.FAILED, stages=done("sfm"))
    assert call("POST", "/jobs/job-1/retry", {"pipelineStep": "compression"}).refusal == (409, "no_artifacts")
    assert call("POST", "/jobs/job-1/retry", {"pipelineStep": "sfm"}).body["pipelineStep"] == "sfm"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((status, "job_active") for status in (*ACTIVE, Status.STOPPING)),
        (Status.COMPLETED, "already_done"),
        (Status.REJECTED, "rejected"),
    ],
)
def test_what_is_not_stuck_is_not_tried_again(call, put, status, code):
    put(status=status)
    assert call("POST", "/jobs/job-1/retry", {}).refusal == (409, code)


@pytest.fixture
def finished(aws, put) -> JobRecord:
    """A completed job of Ann's that was trained for 1000 iterations."""
    model, sog = "s3://data/jobs/job-1/training/model/", "s3://data/jobs/job-1/compressed/model.sog"
    stages = {
        name: record.model_copy(update={"cost": 0.5})
        for name, record in done("sfm", "3dgs", "compression").items()
    }
    return put(
        status=Status.COMPLETED, stages=stages, model_s3_uri=model, outputs={"sog": sog},
        request={"preset": "preview", "max_iterations": 1000},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "step"),
    [
        ({"pipelineStep": "compression"}, "compression"),
        ({"pipelineStep": "3dgs", "tuning": {"max_iterations": 2000}}, "3dgs"),
        ({"tuning": {"crop": False}}, "compression"),  # begins with the first step that reads what is changed
        ({"tuning": {"crop": False, "max_iterations": 2000}}, "3dgs"),
        ({"tuning": {"sfm_max_size": 1200}}, "sfm"),
        ({"preset": "quality"}, "sfm"),
    ],
)
def test_a_completed_jobs_later_steps_are_done_otherwise_on_request(aws, call, finished, body, step):
    # When Ann asks for it
    told = call("POST", "/jobs/job-1/retry", body)
    assert (told.status, told.body) == (202, {"jobId": "job-1", "run": 2, "pipelineStep": step})
    # Then the new run has the changed tuning over the last one's
    row = row_of(aws, "job-1")
    asked = {"preset": body.get("preset"), **body.get("tuning", {})}
    assert row.request == {
        **finished.request, **{name: value for name, value in asked.items() if value is not None},
        "pipelineStep": step,
    }  # fmt: skip
    # And until it has results the last run's stay, and what is done anew has cost what it has cost
    assert row.outputs == finished.outputs
    redone = [stage for stage in ("sfm", "3dgs", "compression") if row.stages[stage].started is None]
    assert redone[0] == step
    assert row.earlier_costs == dict.fromkeys(redone, 0.5)


def test_a_setting_that_only_an_earlier_step_reads_is_refused(aws, call, finished):
    body = {"pipelineStep": "compression", "tuning": {"max_iterations": 2000}}
    refused = call("POST", "/jobs/job-1/retry", body)
    assert refused.refusal == (400, "no_effect")
    assert "3dgs" in refused.body["hint"]
    assert row_of(aws, "job-1") == finished


def test_a_stuck_job_with_other_tuning_begins_where_that_is_read(aws, call, put):
    put(status=Status.FAILED, stages=done("sfm"), model_s3_uri="s3://data/model/")
    assert call("POST", "/jobs/job-1/retry", {"tuning": {"seed": 3}}).body["pipelineStep"] == "sfm"


def test_a_queued_run_that_is_stopped_leaves_the_results_of_before(aws, call, finished):
    assert call("POST", "/jobs/job-1/retry", {"pipelineStep": "compression"}).status == 202
    assert call("POST", "/stop-job", {"jobId": "job-1"}).status == 202
    assert row_of(aws, "job-1").outputs == finished.outputs


def test_a_job_whose_execution_named_no_zip_is_not_tried_again(call, put):
    put(status=Status.FAILED, source="")
    assert call("POST", "/jobs/job-1/retry").refusal == (409, "rejected")


# ---- list and show ----------------------------------------


def test_pages_are_newest_first_and_each_owners_own(call, put):
    # Given five jobs, two of them Ben's
    for n, owner in enumerate(("ann", "ben", "ann", "ben", "ann")):
        put(job_id=f"job-{n}", owner=owner, created_at=f"2026-03-01T10:00:0{n}.000Z")

    def listed(by: dict[str, str], **query: str) -> tuple[list[str], Any]:
        told = call("GET", "/jobs", by=by, query=query)
        assert told.status == 200
        return [job["jobId"] for job in told.body["jobs"]], told.body["next"]

    assert listed(ANN) == (["job-4", "job-2", "job-0"], None)
    assert listed({"username": "nobody"}) == ([], None)
    # And an admin, whose pages go on where the last one ended
    assert listed(ADMIN, limit="2") == (["job-4", "job-3"], "2026-03-01T10:00:03.000Z")
    assert listed(ADMIN, limit="2", before="2026-03-01T10:00:03.000Z")[0] == ["job-2", "job-1"]


def test_a_query_that_does_not_fit_is_refused(call):
    limits = ({"limit": limit} for limit in ("0", "101", "-1", "many", "1e400", "9" * 400, ""))
    times = ({"before": before} for before in ("yesterday", "", "2026", "'", "2026-03-01T10:00:00Z"))
    for query in (*limits, *times, {"owner": "ben"}):
        told = call("GET", "/jobs", query=query)
        assert told.status == 400
        assert next(iter(query)) in told.body["detail"]


def test_a_job_is_shown_by_the_status_contract(aws, call, put):
    put(status=Status.RUNNING, stage="3dgs")
    told = call("GET", "/jobs/job-1")
    assert (told.status, told.body) == (200, row_of(aws, "job-1").status_view())


REQUESTS = [
    ("GET", "/jobs/{}", None),
    ("POST", "/jobs/{}/retry", None),
    ("POST", "/stop-job", "jobId"),
]


@pytest.mark.parametrize(("method", "path", "field"), REQUESTS)
def test_another_owners_job_is_as_if_it_were_not_there(call, put, method, path, field):
    put(job_id="job-1", owner="ben", status=Status.RUNNING)

    def ask(job_id: str, by: dict[str, str] = ANN) -> Answer:
        return call(method, path.format(job_id), {field: job_id} if field else {}, by=by)

    foreign, unknown = ask("job-1"), ask("job-2")
    assert foreign.refusal == (404, "no_such_job")
    assert foreign.body == json.loads(json.dumps(unknown.body).replace("job-2", "job-1"))
    assert ask("job-1", ADMIN).body.get("code") != "no_such_job"


def test_what_is_no_job_id_is_no_job(call):
    for job_id in ("-", "a b", "ü", "a" * 41, "..", "%00", "job-1\n", "'; drop"):
        assert call("POST", "/stop-job", {"jobId": job_id}).refusal == (404, "no_such_job")
        assert call("GET", f"/jobs/{job_id}").status == 404
    # API Gateway decodes addresses: some that come to the function fit none of its routes
    for address in ("/jobs/\x00", "/jobs/\n", "/jobs/a/b"):
        assert call("GET", address).refusal == (404, "no_such_route")


def test_a_group_that_only_looks_like_admins_is_none(call, put):
    put(owner="ben")
    for groups in ("[adminsx]", "admins-of-ben", "[[admins]]", "[]", ""):
        by = {"username": "ann", "cognito:groups": groups}
        assert call("GET", "/jobs/job-1", by=by).refusal == (404, "no_such_job")


def test_a_ticket_is_the_callers_own_and_each_is_another(aws, call):
    for by, caller in ((ANN, Caller("ann")), (ADMIN, Caller("operator", is_admin=True))):
        told = [call("POST", "/ws-ticket", by=by) for _ in range(2)]
        assert [answer.status for answer in told] == [200, 200]
        assert {answer.body["expiresIn"] for answer in told} == {60}
        found = [aws.tickets.redeem(answer.body["ticket"]) for answer in told]
        assert found == [caller, caller]
    # Nobody asks one for somebody else
    assert call("POST", "/ws-ticket", {"owner": "ben"}).refusal == (400, "unknown_field")


def test_the_limits_are_those_that_zips_and_connections_are_judged_by(call):
    told = call("GET", "/limits")
    queue = Queue(max_running=4, max_running_per_owner=2, running=0, waiting=0)
    assert (told.status, told.body) == (200, Limits(queue=queue).told())
    assert told.body["zip"]["maxPhotos"] == ZipLimits().max_photos
    assert told.body["maxSubscriptions"] == MAX_SUBSCRIPTIONS
    assert "preview" in told.body["presets"]


def test_an_id_token_names_its_user_too(call, put):
    put()
    assert call("GET", "/jobs/job-1", by={"cognito:username": "ann"}).status == 200


def test_a_fault_of_ours_is_told_as_one_and_not_in_detail(aws, call):
    boto3.client("dynamodb").delete_table(TableName="jobs")
    told = call("GET", "/jobs/job-1")
    assert told.refusal == (500, "fault")
    assert "ResourceNotFound" not in json.dumps(told.body)


# ---- deletion, and history ----------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_a_job_that_has_ended_can_be_deleted_and_is_there_for_nobody(aws, call, put, status):
    # Given a job
    put(status=status)
    # When its owner deletes it
    told = call("DELETE", "/jobs/job-1")
    # Then that is done once it has ended
    if status not in TERMINAL:
        assert told.refusal == (409, "job_active")
        assert call("GET", "/jobs/job-1").status == 200
        return
    assert (told.status, told.body) == (202, {"jobId": "job-1"})
    # And from then on there is no such job, for an admin neither
    for by in (ANN, ADMIN):
        for method, path in (
            *(("GET", "/jobs/job-1"), ("GET", "/jobs/job-1/events"), ("DELETE", "/jobs/job-1")),
            ("POST", "/jobs/job-1/retry"),
        ):
            assert call(method, path, by=by).refusal == (404, "no_such_job")
        assert call("GET", "/jobs", by=by).body == {"jobs": [], "next": None}
    # And its followers are sent nothing more
    assert not Caller("ann").sees(row_of(aws, "job-1"))


def test_nobody_deletes_another_owners_job_but_an_admin(call, put):
    put(owner="ben", status=Status.COMPLETED)
    assert call("DELETE", "/jobs/job-1").refusal == (404, "no_such_job")
    assert call("DELETE", "/jobs/job-1", by=ADMIN).status == 202


def test_a_zip_whose_job_was_deleted_starts_no_other(aws, call, beach):
    # Given a job that was deleted, whose zip is not erased yet
    body = beach(status=Status.COMPLETED, stages=done("sfm", "3dgs"), model_s3_uri="s3://m/x/")
    (job_id,) = (row.job_id for row in aws.jobs.page("ann", 1))
    assert call("DELETE", f"/jobs/{job_id}").status == 202
    # When it is started, at once or after the row was made a tombstone
    for _ in range(2):
        for step in ({}, {"pipelineStep": "compression"}):
            told = call("POST", "/start-job", {**body, **step})
            assert told.status in {404, 409}
        aws.jobs.entomb(job_id, 0)
    # Then
    assert call("GET", "/jobs").body["jobs"] == []


def test_the_history_of_a_job_is_told_page_by_page(aws, load, context, call, put):
    # Given a job that began and was stopped, and the stream of it
    row = put()
    aws.jobs.begin(row, "arn:aws:states:eu-west-1:123456789012:execution:pipeline:job-1-1", now_iso())
    aws.jobs.request_stop("job-1", False, now_iso())
    load("publish_changes").handler({"Records": aws.stream()}, context)
    # When it is asked for in pages of two
    first = call("GET", "/jobs/job-1/events", query={"limit": "2"}).body
    second = call("GET", "/jobs/job-1/events", query={"limit": "2", "after": str(first["next"])}).body
    # Then it is all there, in order
    told = [(event["version"], event["before"], event["status"]) for event in first["events"]]
    assert told == [(1, None, "QUEUED"), (2, "QUEUED", "RUNNING")]
    assert [event["status"] for event in second["events"]] == ["STOPPING"]
    assert second["next"] is None
    # And to nobody else
    assert call("GET", "/jobs/job-1/events", by={"username": "ben"}).refusal == (404, "no_such_job")
    for query in ({"after": "-1"}, {"limit": "0"}, {"before": "2"}):
        assert call("GET", "/jobs/job-1/events", query=query).status == 400
