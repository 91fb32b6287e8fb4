"""First state: check the execution input, claim the job's row, and lay out the plan for the other states."""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.artifacts import Artifacts
from spaceport.claiming import Claiming
from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.failure import RefusedError
from spaceport.job import now_iso
from spaceport.jobs import Jobs
from spaceport.plan import TemplateFacts, job_id_of, parse_input


class Settings(Environment):
    jobs_table: str
    uploads_bucket: str
    data_bucket: str
    sfm_image_uri: str
    gaussian_image_uri: str
    compressor_image_uri: str
    sfm_instance_types: str
    training_instance_types: str
    compression_instance_types: str
    spot_training: bool


logger = Logger()
settings = Settings.read()
claiming = Claiming(
    Jobs(boto3.resource("dynamodb").Table(settings.jobs_table)),
    Artifacts(boto3.client("s3"), settings.data_bucket),
    TemplateFacts(**settings.model_dump(exclude={"jobs_table"})),
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event`: {input, executionArn, executionName}, as the state passes it. Raises as `Claiming.claim`."""
    arn, name = event["executionArn"], event["executionName"]
    job_id = job_id_of(event["input"], name)
    logger.append_keys(job_id=job_id)
    try:
        plan = claiming.claim(parse_input(event["input"]), job_id, arn, name, now_iso())
    except UserError as refused:
        logger.warning("refused", code=refused.code)
        raise RefusedError(refused) from refused
    return plan.model_dump(mode="json", by_alias=True)
