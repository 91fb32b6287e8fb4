"""The HTTP API: upload zips; start, stop, retry, list, show and delete jobs; let their followers connect.

API Gateway has checked the token; which jobs its owner may see is decided here. What is refused is told as
problem details, with the code and the hint of the UserError behind it.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.answers import (
    Deleted,
    Forgotten,
    JobEvents,
    Limits,
    PartAddress,
    PartAddresses,
    Queue,
    Retried,
    SentPart,
    SentParts,
    Started,
    Ticket,
    UploadBegun,
    Uploaded,
)
from spaceport.bodies import (
    CompleteBody,
    EventsQuery,
    KeyQuery,
    ListQuery,
    NoBody,
    PartsBody,
    RetryBody,
    StartBody,
    StopBody,
    UploadBody,
    parse_body,
    parse_fields,
)
from spaceport.callers import Caller
from spaceport.environment import Environment
from spaceport.executions import Executions
from spaceport.history import History
from spaceport.intake import Intake
from spaceport.job import JobRecord, is_job_id, now_iso
from spaceport.jobs import Jobs
from spaceport.problem_routes import body_in, caller_in, router
from spaceport.reruns import retried, still_active
from spaceport.sagemaker_tasks import SageMakerTasks
from spaceport.signing import FOR_BROWSERS
from spaceport.slots import SlotsItem
from spaceport.starting import Starting, changed
from spaceport.stopping import Stopping
from spaceport.tickets import Tickets
from spaceport.uploads import Uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Settings(Environment):
    jobs_table: str
    tickets_table: str
    queue_table: str
    max_running_jobs: int
    max_running_jobs_per_owner: int
    history_table: str
    uploads_bucket: str
    state_machine_arn: str


logger = Logger()
settings = Settings.read()
dynamodb = boto3.resource("dynamodb")
jobs = Jobs(dynamodb.Table(settings.jobs_table))
slots = SlotsItem(dynamodb.Table(settings.queue_table))
history = History(dynamodb.Table(settings.history_table))
tickets = Tickets(dynamodb.Table(settings.tickets_table))
app = router(logger)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)


@app.post("/start-job")
def start_job() -> tuple[dict[str, Any], int]:
    starting = Starting(jobs, Intake(made_s3()), settings.uploads_bucket)
    row, created = starting.start(parse_body(StartBody, sent()), caller(), now_iso())
    logger.append_keys(job_id=row.job_id)
    logger.info("start", status=row.status, is_new=created)
    told = Started(job_id=row.job_id, status=row.status, created=created)
    return told.told(), HTTPStatus.ACCEPTED


@app.post("/stop-job")
def stop_job() -> tuple[dict[str, Any], int]:
    body = parse_body(StopBody, sent())
    row = own_job(body.job_id)
    stopping = made_stopping()
    began = stopping.stop(row, body.discard_artifacts, now_iso())
    logger.info("stop", is_new=began)
    return own_job(row.job_id).status_view(), HTTPStatus.ACCEPTED if began else HTTPStatus.OK


@app.get("/jobs")
def list_jobs() -> dict[str, Any]:
    query = parse_fields(ListQuery, app.current_event.query_string_parameters or {})
    rows = jobs.page(caller().scope, query.limit, query.before)
    is_last = len(rows) < query.limit
    shown = [row.status_view() for row in rows if caller().sees(row)]
    return {"jobs": shown, "next": None if is_last else rows[-1].created_at}


@app.get("/jobs/<job_id>")
def get_job(job_id: str) -> dict[str, Any]:
    return own_job(job_id).status_view()


@app.delete("/jobs/<job_id>")
def delete_job(job_id: str) -> tuple[dict[str, Any], int]:
    row = own_job(job_id)
    batch = jobs.get(row.batch_id) if row.batch_id else None
    if batch is not None and not batch.is_terminal:  # which waits for all its jobs' ends
        raise still_active(batch)
    if not jobs.delete(row.job_id, now_iso()):
        raise still_active(row)
    logger.info("delete")
    return Deleted(job_id=row.job_id).told(), HTTPStatus.ACCEPTED


@app.get("/jobs/<job_id>/events")
def list_events(job_id: str) -> dict[str, Any]:
    query = parse_fields(EventsQuery, app.current_event.query_string_parameters or {})
    events = history.page(own_job(job_id).job_id, query.limit, query.after)
    is_last = len(events) < query.limit
    return JobEvents(events=events, next=None if is_last else events[-1].version).told()


@app.post("/jobs/<job_id>/retry")
def retry_job(job_id: str) -> tuple[dict[str, Any], int]:
    body = parse_body(RetryBody, sent())
    row = own_job(job_id)
    again = retried(row, body.pipeline_step, body.changes(), now_iso())
    if not jobs.reopen(row, again):
        raise changed(row)
    logger.info("retry", run=again.run)
    told = Retried(job_id=again.job_id, run=again.run, pipeline_step=again.request["pipelineStep"])
    return told.told(), HTTPStatus.ACCEPTED


@app.post("/uploads")
def begin_upload() -> tuple[dict[str, Any], int]:
    body = parse_body(UploadBody, sent())
    upload = made_uploads().begin(caller(), body.file_name, body.size, body.request)
    logger.info("upload begun", key=upload.key, bytes=body.size)
    told = UploadBegun(
        upload_id=upload.upload_id, key=upload.key, part_bytes=upload.part_bytes, parts=upload.parts
    )
    return told.told(), HTTPStatus.CREATED


@app.get("/uploads/<upload_id>")
def get_upload(upload_id: str) -> dict[str, Any]:
    query = parse_fields(KeyQuery, app.current_event.query_string_parameters or {})
    there = made_uploads().parts(caller(), upload_id, query.key)
    parts = [SentPart(number=part.number, size=part.size, etag=part.etag) for part in there]
    return SentParts(upload_id=upload_id, key=query.key, parts=parts).told()


@app.post("/uploads/<upload_id>/parts")
def address_parts(upload_id: str) -> dict[str, Any]:
    body = parse_body(PartsBody, sent())
    addresses = made_uploads().addresses(caller(), upload_id, body.key, body.numbers)
    return PartAddresses(
        parts=[PartAddress(number=number, url=url) for number, url in addresses.items()]
    ).told()


@app.post("/uploads/<upload_id>/complete")
def complete_upload(upload_id: str) -> dict[str, Any]:
    body = parse_body(CompleteBody, sent())
    etags = [(part.number, part.etag) for part in body.parts]
    uploads = made_uploads()
    job_id = uploads.complete(caller(), upload_id, body.key, etags)
    logger.info("uploaded", job_id=job_id, key=body.key)
    return Uploaded(job_id=job_id, s3_url=uploads.s3_uri(body.key)).told()


@app.delete("/uploads/<upload_id>")
def abort_upload(upload_id: str) -> dict[str, Any]:
    query = parse_fields(KeyQuery, app.current_event.query_string_parameters or {})
    made_uploads().abort(caller(), upload_id, query.key)
    return Forgotten(upload_id=upload_id, key=query.key).told()


@app.post("/ws-ticket")
def give_ticket() -> dict[str, Any]:
    parse_body(NoBody, sent())
    return Ticket(ticket=tickets.issue(caller())).told()


@app.get("/limits")
def get_limits() -> dict[str, Any]:
    queue = Queue(
        max_running=settings.max_running_jobs,
        max_running_per_owner=settings.max_running_jobs_per_owner,
        running=len(slots.read().held),
        waiting=len(jobs.waiting()),
    )
    return Limits(queue=queue).told()


# Each made at the first call that needs it: most look at jobs, and a client takes up to a tenth of a start.
@cache
def made_stopping() -> Stopping:
    executions = Executions(boto3.client("stepfunctions"), settings.state_machine_arn)
    return Stopping(jobs, executions, SageMakerTasks(boto3.client("sagemaker")))


@cache
def made_s3() -> S3Client:
    return boto3.client("s3", config=FOR_BROWSERS)


def made_uploads() -> Uploads:
    return Uploads(made_s3(), Intake(made_s3()), settings.uploads_bucket)


def caller() -> Caller:
    return caller_in(app)


def own_job(job_id: str) -> JobRecord:
    """The caller's job. Raises UserError `no_such_job`."""
    logger.append_keys(job_id=job_id)
    return caller().own(jobs.get(job_id) if is_job_id(job_id) else None, job_id)


def sent() -> bytes:
    return body_in(app)
