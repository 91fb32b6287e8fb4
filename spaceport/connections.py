"""The Connections table: which WebSocket connection follows which job, and whose the connection is.

One row a subscription, keyed by job first, so that `broadcast_status` finds all followers of a job in one
strongly consistent query; the index `byConnection` serves the clean-up when a connection ends. Rows carry
a TTL, because $disconnect is best effort.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key

from spaceport.callers import Caller
from spaceport.errors import UserError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

BY_CONNECTION = "byConnection"
CONNECTION_LIFE_S = 2 * 3600 + 600  # API Gateway ends a connection after two hours
MAX_SUBSCRIPTIONS = 50  # of a connection: a page of jobs has 20; each is a row, and a post at each change


@dataclass(frozen=True)
class Follower:
    """A connection that follows a job, and who it belongs to."""

    connection_id: str
    caller: Caller


class Connections:
    """The Connections table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def subscribe(self, job_id: str, follower: Follower, now: float | None = None) -> None:
        """Let `follower` follow `job_id`; a second time changes nothing but the expiry.

        Raises:
            UserError: `too_many_subscriptions`.
        """
        followed = self._followed(follower.connection_id)
        if job_id not in followed and len(followed) >= MAX_SUBSCRIPTIONS:
            raise UserError(
                "too_many_subscriptions",
                f"This connection follows {len(followed)} jobs already.",
                "Unsubscribe from some, or follow the others over another connection.",
            )
        self._table.put_item(
            Item={
                "jobId": job_id,
                "connectionId": follower.connection_id,
                "owner": follower.caller.name,
                "admin": follower.caller.is_admin,
                "expiresAt": int((time.time() if now is None else now) + CONNECTION_LIFE_S),
            }
        )

    def followers(self, job_id: str) -> list[Follower]:
        """The connections that follow `job_id`, whether or not they may see it.

        Many threads may call this at once: it uses the table's client, for boto3's resources are not made for
        that, nor what turns a `Key` into text.
        """
        found: list[Follower] = []
        query: dict[str, Any] = {
            "TableName": self._table.name,
            "KeyConditionExpression": "jobId = :job",
            "ExpressionAttributeValues": {":job": job_id},  # the client of a resource takes plain values
            "ConsistentRead": True,
        }
        while True:
            page = self._table.meta.client.query(**query)
            # One that an older version wrote names no owner: nobody, who sees nothing.
            found += [
                Follower(
                    str(item["connectionId"]), Caller(str(item.get("owner", "")), bool(item.get("admin")))
                )
                for item in page["Items"]
            ]
            if "LastEvaluatedKey" not in page:
                return found
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def unsubscribe(self, job_id: str, connection_id: str) -> None:
        self._table.delete_item(Key={"jobId": job_id, "connectionId": connection_id})

    def drop(self, job_id: str) -> int:
        """Let nobody follow `job_id` any more; returns how many did."""
        followers = self.followers(job_id)
        for follower in followers:
            self.unsubscribe(job_id, follower.connection_id)
        return len(followers)

    def forget(self, connection_id: str) -> None:
        """Drop every subscription of a connection that is gone."""
        for job_id in self._followed(connection_id):
            self.unsubscribe(job_id, connection_id)

    def _followed(self, connection_id: str) -> set[str]:
        """The jobs that a connection follows: one page of the index, which a cap keeps far below its 1 MB."""
        page = self._table.query(
            IndexName=BY_CONNECTION, KeyConditionExpression=Key("connectionId").eq(connection_id)
        )
        return {str(item["jobId"]) for item in page["Items"]}
