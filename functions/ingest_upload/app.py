"""EventBridge "Object Created" in the uploads bucket → one row: QUEUED, or REJECTED with the reason.

Reads only the zip's directory, by ranged GETs. The same event twice finds its row and changes nothing.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import S3EventBridgeNotificationEvent, event_source
from aws_lambda_powertools.utilities.streaming.s3_object import S3Object
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import TypeAdapter, ValidationError

from spaceport import archive
from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.job import (
    JOB_NAME_LENGTH,
    REQUEST_METADATA,
    JobError,
    JobRecord,
    JobRequest,
    S3Uri,
    archive_name,
    empty_stages,
    job_id_for,
    now_iso,
    owner_of,
)
from spaceport.jobs import Jobs
from spaceport.stages import Status

S3_URI: TypeAdapter[str] = TypeAdapter(S3Uri)


class Settings(Environment):
    jobs_table: str


logger = Logger()
settings = Settings.read()
s3 = boto3.client("s3")
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))


@logger.inject_lambda_context
@event_source(data_class=S3EventBridgeNotificationEvent)
def handler(event: S3EventBridgeNotificationEvent, context: LambdaContext) -> dict[str, Any]:
    bucket, upload = event.detail.bucket.name, event.detail.object
    # Not `upload.key`: that decodes, but EventBridge's keys, unlike S3's own notifications', are not encoded.
    record = judge(bucket, upload["key"], upload.version_id)
    created = jobs.create(record)
    logger.info("upload judged", job_id=record.job_id, status=record.status, is_new=created)
    return {"jobId": record.job_id, "status": record.status, "created": created}


def judge(bucket: str, key: str, version: str) -> JobRecord:
    """The row for this upload: QUEUED, or REJECTED where the archive or its metadata is refused."""
    now = now_iso()
    queued = JobRecord(
        job_id=job_id_for(bucket, key, version),
        owner=owner_of(key),
        job_name=archive_name(key).rsplit(".", 1)[0][:JOB_NAME_LENGTH],
        source=f"s3://{bucket}/{key}",
        source_version=version,
        created_at=now,
        updated_at=now,
        stages=empty_stages(),
    )
    try:
        check_place(queued.source)
        request = requested(bucket, key, version)
        archive.inspect(
            S3Object(bucket=bucket, key=key, version_id=version, boto3_client=s3), archive_name(key)
        )
    except UserError as refused:
        error = JobError(code=refused.code, message=refused.message, hint=refused.hint)
        return queued.model_copy(update={"status": Status.REJECTED, "error": error})
    return queued.model_copy(
        update={
            "job_name": request.job_name or queued.job_name,
            "email": request.email,
            "request": request.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
    )


def check_place(source: str) -> None:
    """Raise UserError `bad_key` where no execution can be given `source`: it would stay in the queue."""
    try:
        S3_URI.validate_python(source)
    except ValidationError as error:
        raise UserError(
            "bad_key",
            f"{source[:100]!r} can't be the address of a job's zip: it is too long, or holds a line break.",
            "Upload the zip again under a shorter, plain name.",
        ) from error


def requested(bucket: str, key: str, version: str) -> JobRequest:
    """What the object's metadata asks for. Raises UserError `bad_metadata`."""
    text = s3.head_object(Bucket=bucket, Key=key, VersionId=version)["Metadata"].get(REQUEST_METADATA, "{}")
    try:
        return JobRequest.model_validate(json.loads(text))
    except (ValidationError, ValueError, RecursionError) as error:
        reason = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise UserError(
            "bad_metadata",
            f"The upload's metadata “{REQUEST_METADATA}” can't be used: {reason}.",
            "Upload again with `spaceport run`, or leave the metadata out.",
        ) from error


def first_fault(error: ValidationError) -> str:
    """The first field that does not fit, and why."""
    first = error.errors()[0]
    return ": ".join([*map(str, first["loc"]), first["msg"]])
