"""The slots in the Queue table: one item, which two dispatchers can't both change."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spaceport.queue import Slot, Slots

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

ITEM = "slots"


class SlotsItem:
    """Reads and writes the item."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> Slots:
        """The slots as they are now (strongly consistent)."""
        found: dict[str, Any] = dict(self._table.get_item(Key={"name": ITEM}, ConsistentRead=True))
        item = found.get("Item")
        if item is None:
            return Slots()
        held = {
            job_id: Slot(slot["owner"], int(slot["run"]), slot["since"])
            for job_id, slot in item["held"].items()
        }
        return Slots(held, dict(item["served"]), int(item["version"]))

    def write(self, slots: Slots) -> bool:
        """Put `slots` in place of those that they were made of. False where somebody else was quicker."""
        try:
            self._table.put_item(
                Item=item_after(slots),
                ConditionExpression="attribute_not_exists(#version) OR #version = :read",
                ExpressionAttributeNames={"#version": "version"},
                ExpressionAttributeValues={":read": slots.version},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True


def item_after(read: Slots) -> dict[str, Any]:
    """The item that comes after the one which these slots were made of."""
    return {
        "name": ITEM,
        "version": read.version + 1,
        "held": {job_id: asdict(slot) for job_id, slot in read.held.items()},
        "served": dict(read.served),
    }
