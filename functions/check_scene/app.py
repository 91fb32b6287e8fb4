"""After SfM: refuse a scene that can't be trained before a GPU is paid for, tell the row of any other."""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.delivered import Delivered
from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.failure import RefusedError
from spaceport.job import now_iso
from spaceport.jobs import Jobs
from spaceport.quality import SFM_REPORT, SfmReport
from spaceport.scene_check import check_scene


class Settings(Environment):
    jobs_table: str


logger = Logger()
settings = Settings.read()
s3 = boto3.client("s3")
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event`: {jobId, executionArn, colmapS3Uri}."""
    job_id = event["jobId"]
    logger.append_keys(job_id=job_id)
    delivered = Delivered(s3, event["colmapS3Uri"])
    measured = delivered.read(SFM_REPORT)
    if measured is None:
        raise FileNotFoundError(f"SfM left no {SFM_REPORT}")
    try:
        findings = check_scene(SfmReport.model_validate_json(measured))
    except UserError as refused:
        logger.info("scene refused", code=refused.code)
        raise RefusedError(refused) from refused
    noted = jobs.note_scene(job_id, event["executionArn"], findings.metrics, findings.advice, now_iso())
    logger.info("scene checked", noted=noted, metrics=findings.metrics)
    return {"jobId": job_id, "noted": noted}
