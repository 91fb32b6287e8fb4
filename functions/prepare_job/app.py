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
from spaceport.failure import JobOverError, RefusedError
from spaceport.job import (
    JobInput,
    JobRecord,
    JobRequest,
    PipelineStep,
    archive_name,
    empty_stages,
    now_iso,
)
from spaceport.jobs import Jobs
from spaceport.plan import Plan, TemplateFacts, job_id_of, make_plan, parse_input
from spaceport.quality import SFM_REPORT
from spaceport.stages import Status


class Settings(Environment):
    jobs_table: str
    uploads_bucket: str
    data_bucket: str
    sfm_image_uri: str
    gaussian_image_uri: str
    compressor_image_uri: str


MODEL = "model.ply"
REQUEST_FIELDS = set(JobRequest.model_fields)
logger = Logger()
settings = Settings.read()
s3 = boto3.client("s3")
facts = TemplateFacts(**settings.model_dump(exclude={"jobs_table"}))
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event`: {input, executionArn, executionName}, as the state passes it."""
    try:
        given = parse_input(event["input"])
        job_id = job_id_of(event["input"], event["executionName"])
        make_plan(given, job_id, facts)  # refuses what it names, before the row is touched
        plan = feasible_plan(given, claim(given, job_id, event["executionArn"], event["executionName"]))
    except UserError as refused:
        logger.warning("refused", code=refused.code)
        raise RefusedError(refused) from refused
    return plan.model_dump(mode="json", by_alias=True)


def claim(given: JobInput, job_id: str, arn: str, name: str) -> JobRecord:
    """The job's row, now this execution's.

    Raises:
        JobOverError: the job was stopped, or ended, while its execution was on its way.
        UserError: `job_taken` where the row is another execution's, or over and not to be done again;
            `no_artifacts` where it is over and what the asked step needs is not there.
    """
    now = now_iso()
    fresh = fresh_row(given, job_id, arn, now)
    if jobs.create(fresh):
        return fresh
    row = jobs.get(job_id)
    if row is not None and row.belongs_to(arn, name):
        if not jobs.begin(job_id, arn, now):
            raise JobOverError(f"{job_id} is {row.status}")
        return row
    if row is not None and row.is_terminal and given.pipeline_step is not PipelineStep.SFM:
        # Started by hand, to do the job's later steps again with what the earlier ones left.
        again = row.reopened(given.pipeline_step, request_of(given), now, arn)
        feasible_plan(given, again)  # a step that can't be done leaves the row as it ended
        if jobs.reopen(row, again):
            return again
    raise UserError(
        "job_taken",
        f"The job {job_id} has already ended, or another execution runs it.",
        "Start the execution with a new jobId; to do only an ended job's later steps again,"
        " give a later pipelineStep.",
    )


def fresh_row(given: JobInput, job_id: str, arn: str, now: str) -> JobRecord:
    """The row of an execution that was started by hand."""
    return JobRecord(
        job_id=job_id,
        run=given.run,
        status=Status.RUNNING,  # a row that appears as QUEUED gets an execution of its own
        execution_arn=arn,
        job_name=given.job_name or archive_name(given.zip_uri),
        email=given.email,
        source=given.zip_uri,
        request=request_of(given),  # for a retry
        created_at=now,
        started_at=now,
        updated_at=now,
        stages=empty_stages(),
    )


def request_of(given: JobInput) -> dict[str, Any]:
    """What the execution input asks for, as a row holds it."""
    return given.model_dump(mode="json", by_alias=True, include=REQUEST_FIELDS, exclude_none=True)


def feasible_plan(given: JobInput, row: JobRecord) -> Plan:
    """The plan of `row`'s run. Raises UserError `no_artifacts`."""
    plan = make_plan(given.model_copy(update={"run": row.run}), row.job_id, facts, row.model_s3_uri)
    check_artifacts(plan)
    return plan


def check_artifacts(plan: Plan) -> None:
    """Raise UserError `no_artifacts` where the steps before the plan's first have left nothing."""
    needed = {
        PipelineStep.SFM: [],
        PipelineStep.TRAINING: [f"{plan.colmap_s3_uri}{SFM_REPORT}"],
        PipelineStep.COMPRESSION: [f"{plan.colmap_s3_uri}{SFM_REPORT}", f"{plan.at.model_s3_uri}{MODEL}"],
    }
    for uri in needed[plan.at.step]:
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        if not s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["KeyCount"]:
            raise UserError(
                "no_artifacts",
                f"The job {plan.job_id} can't begin at {plan.at.step.value}: there is no {uri}.",
                "Start it at pipelineStep sfm, or at a step whose earlier steps have finished.",
            )
