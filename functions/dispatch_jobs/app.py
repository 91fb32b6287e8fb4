"""Job Changed (rows that become QUEUED) → one execution each.

The execution's name is `{jobId}-{run}`, so an event that comes twice starts nothing twice.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.changes import JobChanged
from spaceport.environment import Environment
from spaceport.executions import Executions
from spaceport.jobs import Jobs
from spaceport.stages import Status


class Settings(Environment):
    jobs_table: str
    state_machine_arn: str


logger = Logger()
settings = Settings.read()
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))
executions = Executions(boto3.client("stepfunctions"), settings.state_machine_arn)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    told = JobChanged.model_validate(event["detail"])
    logger.append_keys(job_id=told.job_id)
    row = jobs.get(told.job_id)
    started = row is not None and row.status is Status.QUEUED and executions.start(row)
    logger.info("queued job", run=told.run, started=started)
    return {"jobId": told.job_id, "started": started}
