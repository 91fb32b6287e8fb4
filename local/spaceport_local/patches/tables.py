"""A table's TimeToLive and PointInTimeRecovery from CloudFormation, which MiniStack drops."""

from __future__ import annotations

from typing import Any

from ministack.services import dynamodb
from ministack.services.cloudformation import provisioners

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.cloudformation.provisioners:_ddb_create", "277586e016c6"),
    Seam("services.cloudformation.provisioners:_ddb_update", "0665980ffdd0"),
    Seam("services.dynamodb:_update_ttl", "e8243a4fbbb8"),
    Seam("services.dynamodb:_update_continuous_backups", "4d306deca0a2"),
)


def install() -> None:
    handlers = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
    create, update = handlers["create"], handlers["update"]

    def apply(table: str, properties: dict[str, Any]) -> None:
        if ttl := properties.get("TimeToLiveSpecification"):
            enabled = str(ttl.get("Enabled", True)).lower() == "true"
            specification = {"Enabled": enabled, "AttributeName": ttl["AttributeName"]}
            dynamodb._update_ttl({"TableName": table, "TimeToLiveSpecification": specification})
        if recovery := properties.get("PointInTimeRecoverySpecification"):
            dynamodb._update_continuous_backups(
                {"TableName": table, "PointInTimeRecoverySpecification": recovery}
            )

    def create_table(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        table, attributes = create(logical_id, properties, stack)
        apply(table, properties)
        return table, attributes

    def update_table(table: str, old: dict[str, Any], new: dict[str, Any], *rest: Any, **options: Any) -> Any:
        answer = update(table, old, new, *rest, **options)
        apply(answer[0], new)
        return answer

    handlers["create"], handlers["update"] = create_table, update_table
