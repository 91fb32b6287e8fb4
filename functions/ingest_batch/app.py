"""EventBridge "Object Created" of a manifest → one row for each of its zips, and one that sums them up.

The same event twice finds its rows and changes nothing.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import S3EventBridgeNotificationEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.batches import Batches, Summing
from spaceport.environment import Environment
from spaceport.intake import Intake
from spaceport.job import batch_id_for, now_iso
from spaceport.jobs import Jobs


class Settings(Environment):
    jobs_table: str


logger = Logger()
settings = Settings.read()
s3_client = boto3.client("s3")
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))
batches = Batches(jobs, Intake(s3_client), s3_client)
summing = Summing(jobs)


@logger.inject_lambda_context(clear_state=True)
@event_source(data_class=S3EventBridgeNotificationEvent)
def handler(event: S3EventBridgeNotificationEvent, context: LambdaContext) -> dict[str, Any]:
    bucket, upload = event.detail.bucket.name, event.detail.object
    key = upload["key"]  # not `upload.key`, which decodes what is not encoded
    logger.append_keys(job_id=batch_id_for(bucket, key, upload.version_id))
    batch = batches.take(bucket, key, upload.version_id, now_iso())
    summing.sum_up(batch.job_id, now_iso())
    logger.info("manifest taken", status=batch.status, members=len(batch.members))
    return {"batchId": batch.job_id, "status": batch.status, "members": len(batch.members)}
