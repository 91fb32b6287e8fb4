"""Posting to WebSocket connections through API Gateway's management API, and what the messages look like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spaceport.errors import UserError
from spaceport.job import JobRecord

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


def status_message(row: JobRecord) -> dict[str, Any]:
    """What followers get for each change: the status contract, marked `status`."""
    return {"type": "status", **row.status_view()}


def error_message(error: UserError) -> dict[str, Any]:
    """What a client gets for a message that can't be served."""
    return {"type": "error", "error": {"code": error.code, "message": error.message, "hint": error.hint}}
