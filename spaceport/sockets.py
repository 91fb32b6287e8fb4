"""Posting to WebSocket connections through API Gateway's management API, and the messages of both sides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spaceport.errors import UserError
from spaceport.job import JobRecord, is_job_id

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient


class Sockets:
    """Sends messages to connections of one WebSocket API."""

    def __init__(self, management: ApiGatewayManagementApiClient) -> None:
        self._management = management

    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        """Send `message`. False where the connection is gone; other errors are faults and go on."""
        data = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
        try:
            self._management.post_to_connection(ConnectionId=connection_id, Data=data)
        except self._management.exceptions.GoneException:
            return False
        return True


@dataclass(frozen=True)
class Subscription:
    """What a client wants to follow: a job, from after the version that it has seen (0: none)."""

    job_id: str
    since_version: int = 0


def parse_subscription(body: str) -> Subscription:
    """A client's `{"jobId", "sinceVersion"?}`. Raises UserError `bad_job_id`, `bad_since_version`."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    fields = message if isinstance(message, dict) else {}
    job_id, version = fields.get("jobId"), fields.get("sinceVersion", 0)
    if not is_job_id(job_id):
        raise UserError(
            "bad_job_id", "The message names no job.", 'Send {"action": "subscribe", "jobId": "..."}.'
        )
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise UserError(
            "bad_since_version",
            "The message's sinceVersion is not a version.",
            "Give the last version you have seen as a whole number, or leave it out.",
        )
    return Subscription(job_id, version)


def status_message(row: JobRecord) -> dict[str, Any]:
    """What followers get for each change: the status contract, marked `status`."""
    return {"type": "status", **row.status_view()}


def error_message(error: UserError) -> dict[str, Any]:
    """What a client gets for a message that can't be served."""
    return {"type": "error", "error": {"code": error.code, "message": error.message, "hint": error.hint}}
