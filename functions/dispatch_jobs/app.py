"""Stream of the Jobs table (new rows that are QUEUED) → one execution each.

The execution's name is `{jobId}-{run}`, so a record that comes twice starts nothing twice.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.environment import Environment
from spaceport.job import JobInput, JobRecord, execution_name
from spaceport.jobs import record_from_image


class Settings(Environment):
    state_machine_arn: str


logger = Logger()
settings = Settings.read()
step_functions = boto3.client("stepfunctions")
processor = BatchProcessor(event_type=EventType.DynamoDBStreams)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return process_partial_response(  # type: ignore[return-value]
        event=event, record_handler=dispatch, processor=processor, context=context
    )


def dispatch(record: DynamoDBRecord) -> None:
    row = record_from_image(record.raw_event["dynamodb"]["NewImage"])
    name = execution_name(row.job_id, row.run)
    try:
        step_functions.start_execution(
            stateMachineArn=settings.state_machine_arn,
            name=name,
            input=execution_input(row).model_dump_json(by_alias=True),
        )
    except step_functions.exceptions.ExecutionAlreadyExists:
        logger.info("already started", execution=name)
        return
    logger.info("started", execution=name)


def execution_input(row: JobRecord) -> JobInput:
    """The execution input of a queued row: its request, with what only the row knows."""
    return JobInput.model_validate(
        {
            **row.request,
            "jobId": row.job_id,
            "run": row.run,
            "jobName": row.job_name,
            "email": row.email,
            "s3Url": row.source,
            "inputS3Uri": row.source,
            "timestamp": row.created_at,
        }
    )
