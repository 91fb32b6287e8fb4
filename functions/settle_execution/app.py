"""EventBridge "Step Functions Execution Status Change" → the row of an execution that ended without a word.

A stop, the state machine's own timeout and a restart of the engine skip every Catch. Where RecordFailure
has already told the reason the row is terminal, and this changes nothing.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.artifacts import Artifacts
from spaceport.environment import Environment
from spaceport.executions import Execution
from spaceport.job import now_iso
from spaceport.jobs import Jobs
from spaceport.plan import job_id_of
from spaceport.sagemaker_tasks import SageMakerTasks
from spaceport.settlement import Settlement


class Settings(Environment):
    jobs_table: str
    data_bucket: str


logger = Logger()
settings = Settings.read()
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))
settlement = Settlement(
    jobs, SageMakerTasks(boto3.client("sagemaker")), Artifacts(boto3.client("s3"), settings.data_bucket)
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    detail = event["detail"]
    execution = Execution.described(detail)
    job_id = job_id_of(execution_input(detail), execution.name)
    logger.append_keys(job_id=job_id)
    row = jobs.get(job_id)
    if row is None or row.is_terminal or not row.belongs_to(execution.arn, execution.name):
        return {"jobId": job_id, "settled": False}
    settled = settlement.settle(row, execution, now_iso())
    logger.info("execution settled", execution=execution.status, settled=settled)
    return {"jobId": job_id, "settled": settled}


def execution_input(detail: dict[str, Any]) -> object:
    """The execution's input, which EventBridge leaves out where it is large."""
    try:
        return json.loads(detail.get("input") or "null")
    except ValueError:
        return None
