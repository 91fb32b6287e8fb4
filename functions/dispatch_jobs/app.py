"""Stream of the Jobs table (rows that become QUEUED) → one execution each.

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
from spaceport.executions import Executions
from spaceport.jobs import record_from_image


class Settings(Environment):
    state_machine_arn: str


logger = Logger()
settings = Settings.read()
executions = Executions(boto3.client("stepfunctions"), settings.state_machine_arn)
processor = BatchProcessor(event_type=EventType.DynamoDBStreams)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return process_partial_response(  # type: ignore[return-value]
        event=event, record_handler=dispatch, processor=processor, context=context
    )


def dispatch(record: DynamoDBRecord) -> None:
    row = record_from_image(record.raw_event["dynamodb"]["NewImage"])
    logger.append_keys(job_id=row.job_id)
    logger.info("queued job", run=row.run, started=executions.start(row))
