"""Posting to WebSocket connections through API Gateway's management API, and the messages of both sides."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from spaceport.errors import UserError
from spaceport.job import JobRecord, is_job_id

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient


MAX_FRAME_BYTES = 32 * 2**10  # API Gateway's own limit: it closes a connection that sends a larger one
SENDERS = 32  # posts at once; a thread that waits costs next to nothing
# A post takes some 10 ms. Who takes none for 3 s is dead, on a busy local cloud too, and is not asked twice;
# what goes wrong otherwise is tried again by the stream.
POSTING = Config(
    max_pool_connections=SENDERS,
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 1, "mode": "standard"},
)
# What a message is cut by where it is too large: GET /jobs/{id} tells these in full.
_LEFT_OUT_FIRST = ("warnings", "metrics")
_CUT_TEXT = 200  # characters of each text then; at most 6 bytes each, of five texts and 14 URIs of 1 KB


class Sockets:
    """Sends messages to connections of one WebSocket API."""

    def __init__(self, management: ApiGatewayManagementApiClient) -> None:
        self._management = management

    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        """Send `message`. False where the connection is gone; other errors are faults and go on.

        One that takes no message in time is closed: a client that still lives comes back, and its
        subscription's snapshot brings what it missed.
        """
        try:
            self._management.post_to_connection(ConnectionId=connection_id, Data=frame(message))
        except self._management.exceptions.GoneException:
            return False
        except ReadTimeoutError:
            self._close(connection_id)
            return False
        return True

    def _close(self, connection_id: str) -> None:
        with suppress(self._management.exceptions.GoneException, ReadTimeoutError):
            self._management.delete_connection(ConnectionId=connection_id)


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


def frame(message: dict[str, Any]) -> bytes:
    """`message` as it is sent, in `MAX_FRAME_BYTES`; what there is no room for is left out."""
    data = _encoded(message)
    for field in _LEFT_OUT_FIRST:
        if len(data) <= MAX_FRAME_BYTES:
            return data
        if field in message:
            message = {**message, field: type(message[field])()}
            data = _encoded(message)
    return data if len(data) <= MAX_FRAME_BYTES else _encoded(_with_short_texts(message))


def _with_short_texts(message: dict[str, Any]) -> dict[str, Any]:
    """`message` with its texts cut, those of its error too; addresses of outputs are no texts."""
    short: dict[str, Any] = {
        name: value[:_CUT_TEXT] if isinstance(value, str) else value for name, value in message.items()
    }
    return {**short, "error": _with_short_texts(short["error"])} if short.get("error") else short


def _encoded(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def error_message(error: UserError) -> dict[str, Any]:
    """What a client gets for a message that can't be served."""
    return {"type": "error", "error": {"code": error.code, "message": error.message, "hint": error.hint}}
