"""Stream of the Jobs table → the job's history, and an event for each function that acts on changes.

History first: who hears of a change finds it there. A record that fails comes again, and those after it.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.changes import DETAIL_TYPE, change_in
from spaceport.environment import Environment
from spaceport.history import History


class Settings(Environment):
    history_table: str
    event_source: str  # each stack's own: its rules hear its events and no other's


logger = Logger()
settings = Settings.read()
history = History(boto3.resource("dynamodb").Table(settings.history_table))
event_bus = boto3.client("events")
processor = BatchProcessor(event_type=EventType.DynamoDBStreams)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return process_partial_response(  # type: ignore[return-value]
        event=event, record_handler=publish, processor=processor, context=context
    )


def publish(record: DynamoDBRecord) -> None:
    change = change_in(record.raw_event["dynamodb"])
    if change is None:
        return
    told = change.detail()
    logger.append_keys(job_id=told.job_id)
    # A deleted job's history is erased: nothing may come after it.
    if change.is_of_history and not told.deleted:
        history.append(change)
    detail = told.model_dump_json(by_alias=True)
    answer = event_bus.put_events(
        Entries=[{"Source": settings.event_source, "DetailType": DETAIL_TYPE, "Detail": detail}]
    )
    if answer["FailedEntryCount"]:
        raise RuntimeError(f"the event was not taken: {answer['Entries'][0]}")
    logger.info("published", status=told.status, stage=told.stage, run=told.run)
