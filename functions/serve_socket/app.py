"""The WebSocket API's routes: $connect, subscribe, unsubscribe, ping, $disconnect and $default.

A subscription is stored before the snapshot is read, so no update between the two is lost; versions let
the client drop what it has seen. The authorizer's context tells who is connected.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.connections import Connections
from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.job import OPERATOR, is_job_id
from spaceport.jobs import Jobs
from spaceport.sockets import Sockets, error_message, status_message


class Settings(Environment):
    jobs_table: str
    connections_table: str
    websocket_endpoint: str


logger = Logger()
settings = Settings.read()
dynamodb = boto3.resource("dynamodb")
jobs = Jobs(dynamodb.Table(settings.jobs_table))
connections = Connections(dynamodb.Table(settings.connections_table))
sockets = Sockets(boto3.client("apigatewaymanagementapi", endpoint_url=settings.websocket_endpoint))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    request = event["requestContext"]
    connection_id, route = request["connectionId"], request["routeKey"]
    if route == "$disconnect":
        connections.forget(connection_id)
    elif route != "$connect":
        owner = request.get("authorizer", {}).get("owner", "")
        try:
            for message in answer(route, event.get("body") or "{}", connection_id, owner):
                sockets.post(connection_id, message)
        except UserError as refused:
            sockets.post(connection_id, error_message(refused))
    return {"statusCode": 200}


def answer(route: str, body: str, connection_id: str, owner: str) -> list[dict[str, Any]]:
    """The messages that a client's message is answered with. Raises UserError where it can't be served."""
    match route:
        case "ping":
            return [{"type": "pong"}]
        case "subscribe":
            return subscribe(job_id_in(body), connection_id, owner)
        case "unsubscribe":
            connections.unsubscribe(job_id_in(body), connection_id)
            return [{"type": "unsubscribed"}]
    raise UserError("bad_action", "This action is not known.", "Actions are: subscribe, unsubscribe, ping.")


def subscribe(job_id: str, connection_id: str, owner: str) -> list[dict[str, Any]]:
    """Follow `job_id`: an acknowledgement, then its row as it is now. The row may come later."""
    row = jobs.get(job_id)
    if owner != OPERATOR and (row is None or row.owner != owner):
        raise UserError("no_such_job", f"There is no job {job_id} of yours.", "Check the job's id.")
    connections.subscribe(job_id, connection_id)
    row = jobs.get(job_id)
    return [{"type": "subscribed", "jobId": job_id}, *([status_message(row)] if row else [])]


def job_id_in(body: str) -> str:
    try:
        job_id = json.loads(body).get("jobId")
    except (ValueError, AttributeError, RecursionError):
        job_id = None
    if not is_job_id(job_id):
        raise UserError(
            "bad_job_id", "The message names no job.", 'Send {"action": "subscribe", "jobId": "..."}.'
        )
    return job_id
