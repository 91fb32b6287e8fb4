"""The Connections table: which WebSocket connection follows which job.

One row a subscription, keyed by job first, so that `broadcast_status` finds all followers of a job in one
strongly consistent query; the index `byConnection` serves the clean-up when a connection ends. Rows carry
a TTL, because $disconnect is best effort.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from boto3.dynamodb.conditions import Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

BY_CONNECTION = "byConnection"
CONNECTION_LIFE_S = 2 * 3600 + 600  # API Gateway ends a connection after two hours


class Connections:
    """The Connections table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def subscribe(self, job_id: str, connection_id: str, now: float | None = None) -> None:
        """Let `connection_id` follow `job_id`; a second time changes nothing but the expiry."""
        expires = int((time.time() if now is None else now) + CONNECTION_LIFE_S)
        self._table.put_item(Item={"jobId": job_id, "connectionId": connection_id, "expiresAt": expires})

    def followers(self, job_id: str) -> list[str]:
        """The connections that follow `job_id`."""
        found: list[str] = []
        query: dict[str, object] = {
            "KeyConditionExpression": Key("jobId").eq(job_id),
            "ConsistentRead": True,
            "ProjectionExpression": "connectionId",
        }
        while True:
            page = self._table.query(**query)  # type: ignore[arg-type]
            found += [str(item["connectionId"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def unsubscribe(self, job_id: str, connection_id: str) -> None:
        self._table.delete_item(Key={"jobId": job_id, "connectionId": connection_id})

    def forget(self, connection_id: str) -> None:
        """Drop every subscription of a connection that is gone."""
        page = self._table.query(
            IndexName=BY_CONNECTION, KeyConditionExpression=Key("connectionId").eq(connection_id)
        )
        for item in page["Items"]:
            self.unsubscribe(str(item["jobId"]), connection_id)
