"""EventBridge "Object Created" in the uploads bucket → one row: QUEUED, or REJECTED with the reason.

The same event twice finds its row, or its tombstone, and changes nothing: the zip may be gone by then. One
in a folder called `*.batch` is left to the manifest that comes after it (`ingest_batch`).
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import S3EventBridgeNotificationEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport import metering
from spaceport.environment import Environment
from spaceport.intake import Intake
from spaceport.job import awaits_manifest, job_id_for, now_iso
from spaceport.jobs import Jobs


class Settings(Environment):
    jobs_table: str


logger = Logger()
settings = Settings.read()
intake = Intake(boto3.client("s3"))
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))


@logger.inject_lambda_context(clear_state=True)
@event_source(data_class=S3EventBridgeNotificationEvent)
def handler(event: S3EventBridgeNotificationEvent, context: LambdaContext) -> dict[str, Any]:
    bucket, upload = event.detail.bucket.name, event.detail.object
    # Not `upload.key`: that decodes, but EventBridge's keys, unlike S3's own notifications', are not encoded.
    key = upload["key"]
    if awaits_manifest(key):
        logger.info("left to its manifest", key=key)
        return {"jobId": None, "status": None, "created": False}
    job_id = job_id_for(bucket, key, upload.version_id)
    logger.append_keys(job_id=job_id)
    if jobs.knows(job_id):
        logger.info("known already")
        return {"jobId": job_id, "status": None, "created": False}
    record = intake.judge(bucket, key, upload.version_id, now_iso())
    created = jobs.create(record)
    if created:
        metering.job_made(record)
    logger.info("upload judged", status=record.status, is_new=created)
    return {"jobId": record.job_id, "status": record.status, "created": created}
