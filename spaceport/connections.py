"""The Connections table: which WebSocket connection follows which job, and whose the connection is.

One row a subscription, keyed by job first, so that `broadcast_status` finds all followers of a job in one
strongly consistent query; the index `byConnection` serves the clean-up when a connection ends. Rows carry
a TTL, because $disconnect is best effort.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Attr, Key

from spaceport.callers import Caller
from spaceport.errors import UserError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

BY_CONNECTION = "byConnection"
CONNECTION_LIFE_S = 2 * 3600 + 600  # API Gateway ends a connection after two hours
SNAPSHOT_WITHIN_S = (
    3.0  # as long as a post may take; after that a follower's updates wait for its snapshot no more
)
SNAPSHOT_LOOK_S = 0.02
MAX_SUBSCRIPTIONS = 50  # of a connection: a page of jobs has 20; each is a row, and a post at each change


@dataclass(frozen=True)
class Follower:
    """A connection that follows a job, and who it belongs to.

    Attributes:
        snapshot_until: its snapshot is on its way, which no update may overtake, until then at the latest:
            seconds since 1970.
        told_version: of the job's row, which the client had when it subscribed or got with its snapshot: an
            update that is no newer comes late from the stream, and would take the client back.
    """

    connection_id: str
    caller: Caller
    snapshot_until: float = 0.0
    told_version: int = 0


class Connections:
    """The Connections table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def subscribe(self, job_id: str, follower: Follower, now: float | None = None) -> None:
        """Let `follower` follow `job_id`; a second time changes nothing but the times.

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
        self._put(job_id, follower, time.time() if now is None else now)

    def snapshot_sent(self, job_id: str, follower: Follower, version: int) -> None:
        """Let updates newer than `version` through to a follower that has its snapshot.

        One that left meanwhile stays away.
        """
        with suppress(self._table.meta.client.exceptions.ConditionalCheckFailedException):
            still = Attr("jobId").exists()
            told = replace(follower, snapshot_until=0.0, told_version=version)
            self._put(job_id, told, time.time(), ConditionExpression=still)

    def await_snapshot(self, job_id: str, follower: Follower) -> Follower:
        """`follower` once it has its snapshot, or as it was where that has taken too long, or it has left."""
        now = follower
        while now.snapshot_until > 0 and time.time() < follower.snapshot_until:
            time.sleep(SNAPSHOT_LOOK_S)
            same = (f for f in self.followers(job_id) if f.connection_id == follower.connection_id)
            now = next(same, replace(follower, snapshot_until=0.0))
        return now

    def _put(self, job_id: str, follower: Follower, now: float, **condition: Any) -> None:
        self._table.put_item(
            Item={
                "jobId": job_id,
                "connectionId": follower.connection_id,
                "owner": follower.caller.name,
                "admin": follower.caller.is_admin,
                "snapshotUntil": Decimal(str(follower.snapshot_until)),
                "toldVersion": follower.told_version,
                "expiresAt": int(now + CONNECTION_LIFE_S),
            },
            **condition,
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
                    str(item["connectionId"]),
                    Caller(str(item.get("owner", "")), bool(item.get("admin"))),
                    float(item.get("snapshotUntil", 0)),  # type: ignore[arg-type]  # a number, where there is one
                    int(item.get("toldVersion", 0)),  # type: ignore[arg-type]  # as above
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
