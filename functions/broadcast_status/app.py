"""Stream of the Jobs table → every WebSocket connection that follows the job.

The only sender of updates: whoever changes a job writes the row, nothing else. Connections that are gone
are forgotten with all they follow; a failure that is not theirs makes the batch come again from that job's
record.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum, auto
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport import metering
from spaceport.connections import Connections, Follower
from spaceport.environment import Environment
from spaceport.job import JobRecord
from spaceport.jobs import record_from_image
from spaceport.sockets import POSTING, SENDERS, Sockets, status_message
from spaceport.updates import worth_sending


class Settings(Environment):
    connections_table: str
    websocket_endpoint: str


logger = Logger()
settings = Settings.read()
connections = Connections(boto3.resource("dynamodb").Table(settings.connections_table))
sockets = Sockets(
    boto3.client("apigatewaymanagementapi", endpoint_url=settings.websocket_endpoint, config=POSTING)
)


class Outcome(Enum):
    """What became of a connection's messages."""

    SENT = auto()
    GONE = auto()
    FAILED = auto()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    sequence: dict[str, str] = {}  # the first record of each job in this batch: where a retry begins
    rows = []
    for record in event["Records"]:
        row = record_from_image(record["dynamodb"]["NewImage"])
        sequence.setdefault(row.job_id, record["dynamodb"]["SequenceNumber"])
        rows.append(row)
    failed = send_to_followers(worth_sending(rows))
    for job_id in failed:
        metering.count("BroadcastFailed", job_id=job_id)
    return {"batchItemFailures": [{"itemIdentifier": sequence[job_id]} for job_id in failed]}


def send_to_followers(rows: Sequence[JobRecord]) -> list[str]:
    """Send each job's rows, oldest first, to whoever follows and may see it; the jobs that not all got.

    Followers of all jobs are looked up at once, and so go the posts to all their connections: one that takes
    its time delays no other.
    """
    rows_of: dict[str, list[JobRecord]] = {}
    for row in rows:
        rows_of.setdefault(row.job_id, []).append(row)
    posts: list[tuple[str, str, Future[Outcome]]] = []
    with ThreadPoolExecutor(SENDERS) as pool:
        followers_of = zip(rows_of.items(), pool.map(connections.followers, rows_of), strict=True)
        for (job_id, of_job), followers in followers_of:
            messages = [status_message(row) for row in of_job]
            for follower in followers:
                if follower.caller.sees(of_job[-1]):
                    sending = pool.submit(send, job_id, follower, messages)
                    posts.append((job_id, follower.connection_id, sending))
    for connection_id in {connection for _, connection, sent in posts if sent.result() is Outcome.GONE}:
        connections.forget(connection_id)
    logger.info("sent", job_ids=list(rows_of), connections=len(posts))
    return list(dict.fromkeys(job_id for job_id, _, sent in posts if sent.result() is Outcome.FAILED))


def send(job_id: str, follower: Follower, messages: list[dict[str, Any]]) -> Outcome:
    connection_id = follower.connection_id
    try:
        told = connections.await_snapshot(job_id, follower).told_version
        is_there = all(sockets.post(connection_id, m) for m in messages if m["version"] > told)
    except Exception:  # whatever one connection's post ends with, the others must get theirs
        logger.exception("post failed", job_id=job_id, connection_id=connection_id)
        return Outcome.FAILED
    return Outcome.SENT if is_there else Outcome.GONE
