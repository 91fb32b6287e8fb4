"""`Job Changed` of a batch's job → the batch's row says how many of its jobs wait, run and have ended."""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.batches import Summing
from spaceport.changes import JobChanged
from spaceport.environment import Environment
from spaceport.job import now_iso
from spaceport.jobs import Jobs


class Settings(Environment):
    jobs_table: str


logger = Logger()
settings = Settings.read()
summing = Summing(Jobs(boto3.resource("dynamodb").Table(settings.jobs_table)))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    told = JobChanged.model_validate(event["detail"])
    logger.append_keys(job_id=told.batch_id)
    # Of new rows `ingest_batch` makes the sum when it has made all; another stage is nothing that counts.
    if told.batch_id is None or told.before in (None, told.status):
        return {"batchId": told.batch_id, "status": None}
    found = summing.sum_up(told.batch_id, now_iso())
    logger.info("summed up", status=found and found.status, counts=found and found.counts)
    return {"batchId": told.batch_id, "status": found and found.status}
