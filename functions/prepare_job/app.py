"""First state: check the execution input, claim the job's row, and lay out the plan for the other states.

An execution started by hand has no row yet: it gets one, owned by the operator.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.failure import RefusedError
from spaceport.job import JobInput, JobRecord, archive_name, empty_stages, now_iso
from spaceport.jobs import Jobs
from spaceport.plan import TemplateFacts, job_id_named, make_plan, parse_input
from spaceport.stages import Status


class Settings(Environment):
    jobs_table: str
    uploads_bucket: str
    data_bucket: str
    sfm_image_uri: str
    gaussian_image_uri: str
    compressor_image_uri: str


logger = Logger()
settings = Settings.read()
facts = TemplateFacts(**settings.model_dump(exclude={"jobs_table"}))
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event`: {input, executionArn, executionName}, as the state passes it."""
    try:
        given = parse_input(event["input"])
        job_id = job_id_named(given.job_id, event["executionName"])
        plan = make_plan(given, job_id, facts)
        claim(given, job_id, event["executionArn"])
    except UserError as refused:
        logger.warning("refused", code=refused.code)
        raise RefusedError(refused) from refused
    return plan.model_dump(mode="json", by_alias=True)


def claim(given: JobInput, job_id: str, execution_arn: str) -> None:
    """Make the row this execution's. Raises UserError `job_taken` where it has ended or is another one's."""
    now = now_iso()
    jobs.create(
        JobRecord(
            job_id=job_id,
            run=given.run,
            status=Status.RUNNING,  # a row that appears as QUEUED gets an execution of its own
            execution_arn=execution_arn,
            job_name=given.job_name or archive_name(given.zip_uri),
            email=given.email,
            source=given.zip_uri,
            created_at=now,
            updated_at=now,
            stages=empty_stages(),
        )
    )
    if not jobs.begin(job_id, execution_arn, now):
        raise UserError(
            "job_taken",
            f"The job {job_id} has already ended, or another execution runs it.",
            "Start the execution with a new jobId.",
        )
