"""Where every Catch leads: write the reason into the row, in words its owner understands.

The state machine goes on to its Fail state afterwards, and fails with the code and the message returned here.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport import metering
from spaceport.artifacts import Artifacts
from spaceport.diagnosis import had_no_machine
from spaceport.environment import Environment
from spaceport.errors import ErrorText
from spaceport.failure import explain
from spaceport.job import JobRecord, empty_stages, now_iso
from spaceport.jobs import Jobs
from spaceport.partial import PartialResults
from spaceport.plan import job_id_of
from spaceport.prices import bill_of
from spaceport.stages import SETUP, Status


class Settings(Environment):
    jobs_table: str
    data_bucket: str


logger = Logger()
settings = Settings.read()
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))
partial_results = PartialResults(Artifacts(boto3.client("s3"), settings.data_bucket))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event`: {input, executionName, executionArn, failure: {Error, Cause}}, as the states pass it."""
    job_id = job_id_of(event["input"], event["executionName"])
    logger.append_keys(job_id=job_id)
    row = own_row(job_id, event["executionArn"], event["executionName"])
    failure = event["failure"]
    cause = failure.get("Cause") or ""
    error = explain(failure["Error"], cause, row.message if row else SETUP.message)
    if row is not None and had_no_machine(failure["Error"], cause):
        row = row.as_without_machine()
    recorded = row is not None and record(row, event["executionArn"], error)
    logger.error("job failed", code=error.code, recorded=recorded)
    return {"jobId": job_id, "code": error.code, "message": error.message, "recorded": recorded}


def record(row: JobRecord, arn: str, error: ErrorText) -> bool:
    """End the row, with what its stages have cost and left so far."""
    now = now_iso()
    bill = bill_of(row, arn, now)
    if not jobs.fail(row, arn, error, now, costs=bill.stages, outputs=partial_results.of(row)):
        return False
    metering.job_ended(row, Status.FAILED, bill, error.code)
    return True


def own_row(job_id: str, arn: str, name: str) -> JobRecord | None:
    """This execution's row: made where there is none yet, None where the job is another execution's."""
    now = now_iso()
    fresh = JobRecord(
        job_id=job_id,
        status=Status.RUNNING,  # a row that appears as QUEUED gets an execution of its own
        execution_arn=arn,
        created_at=now,
        updated_at=now,
        stages=empty_stages(),
    )
    if jobs.create(fresh):
        return fresh
    row = jobs.get(job_id)
    return row if row is not None and row.belongs_to(arn, name) else None
