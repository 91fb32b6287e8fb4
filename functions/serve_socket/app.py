"""The WebSocket API's routes: $connect, subscribe, unsubscribe, ping, $disconnect and $default.

A subscription is stored before the snapshot is read, so no update between the two is lost. It says that the
snapshot is on its way, so none overtakes it either: `BroadcastStatus` waits. The authorizer's context tells
who is connected. Another owner's job is as if it were not there: it may be followed, as one that has no row
yet, and nothing ever comes.
"""

from __future__ import annotations

import time
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.callers import connected_caller
from spaceport.connections import SNAPSHOT_WITHIN_S, Connections, Follower
from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.jobs import Jobs
from spaceport.sockets import (
    POSTING,
    Sockets,
    Subscription,
    error_message,
    parse_subscription,
    status_message,
)


class Settings(Environment):
    jobs_table: str
    connections_table: str
    websocket_endpoint: str


logger = Logger()
settings = Settings.read()
dynamodb = boto3.resource("dynamodb")
jobs = Jobs(dynamodb.Table(settings.jobs_table))
connections = Connections(dynamodb.Table(settings.connections_table))
sockets = Sockets(
    boto3.client("apigatewaymanagementapi", endpoint_url=settings.websocket_endpoint, config=POSTING)
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    request = event["requestContext"]
    connection_id, route = request["connectionId"], request["routeKey"]
    if route == "$disconnect":
        connections.forget(connection_id)
    elif route != "$connect":
        caller = connected_caller(request["authorizer"])
        follower = Follower(connection_id, caller, snapshot_until=time.time() + SNAPSHOT_WITHIN_S)
        try:
            messages = answer(route, event.get("body") or "{}", follower)
        except UserError as refused:
            messages = [error_message(refused)]
        if not all(sockets.post(connection_id, message) for message in messages):
            connections.forget(connection_id)
        elif messages[0]["type"] == "subscribed":
            connections.snapshot_sent(messages[0]["jobId"], follower, messages[0]["version"] or 0)
    return {"statusCode": 200}


def answer(route: str, body: str, follower: Follower) -> list[dict[str, Any]]:
    """The messages that a client's message is answered with. Raises UserError where it can't be served."""
    match route:
        case "ping":
            return [{"type": "pong"}]
        case "subscribe":
            return subscribe(parse_subscription(body), follower)
        case "unsubscribe":
            connections.unsubscribe(parse_subscription(body).job_id, follower.connection_id)
            return [{"type": "unsubscribed"}]
    raise UserError("bad_action", "This action is not known.", "Actions are: subscribe, unsubscribe, ping.")


def subscribe(wanted: Subscription, follower: Follower) -> list[dict[str, Any]]:
    """Follow a job: an acknowledgement, then its row as it is now, if that is newer than the client's.

    The row may come later: then the acknowledgement's version is null.
    """
    job_id = wanted.job_id
    logger.append_keys(job_id=job_id)
    connections.subscribe(job_id, follower)
    row = jobs.get(job_id)
    if row is None or not follower.caller.sees(row):
        return [{"type": "subscribed", "jobId": job_id, "version": None}]
    messages = [{"type": "subscribed", "jobId": job_id, "version": row.version}]
    if row.version > wanted.since_version:
        messages.append(status_message(row))
    return messages
