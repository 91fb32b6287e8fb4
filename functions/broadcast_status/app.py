"""Stream of the Jobs table → every WebSocket connection that follows the job.

The only sender of updates: whoever changes a job writes the row, nothing else. Connections that are gone
are forgotten with all they follow; a failure that is not theirs makes the batch come again from that job's
record.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from spaceport.connections import Connections
from spaceport.environment import Environment
from spaceport.job import JobRecord
from spaceport.jobs import record_from_image
from spaceport.sockets import Sockets, status_message
from spaceport.updates import worth_sending


class Settings(Environment):
    connections_table: str
    websocket_endpoint: str


SENDERS = 16  # posts at once: a slow client must not hold up the others
logger = Logger()
settings = Settings.read()
connections = Connections(boto3.resource("dynamodb").Table(settings.connections_table))
sockets = Sockets(
    boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=settings.websocket_endpoint,
        config=Config(
            max_pool_connections=SENDERS, connect_timeout=2, read_timeout=5, retries={"max_attempts": 2}
        ),
    )
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    sequence: dict[str, str] = {}  # the first record of each job in this batch: where a retry begins
    rows = []
    for record in event["Records"]:
        row = record_from_image(record["dynamodb"]["NewImage"])
        sequence.setdefault(row.job_id, record["dynamodb"]["SequenceNumber"])
        rows.append(row)
    failed: set[str] = set()
    for row in worth_sending(rows):
        if row.job_id not in failed and not sent_to_followers(row):
            failed.add(row.job_id)
    return {"batchItemFailures": [{"itemIdentifier": sequence[job_id]} for job_id in failed]}


def sent_to_followers(row: JobRecord) -> bool:
    """Whether every connection that still exists got the row."""
    followers = connections.followers(row.job_id)
    message = status_message(row)
    with ThreadPoolExecutor(SENDERS) as pool:
        outcomes = list(pool.map(lambda connection: delivered(connection, message), followers))
    return all(outcomes)


def delivered(connection_id: str, message: dict[str, Any]) -> bool:
    try:
        if not sockets.post(connection_id, message):
            connections.forget(connection_id)
    except Exception:  # whatever one connection's post ends with, the others must get theirs
        logger.exception("post failed", connection_id=connection_id)
        return False
    return True
