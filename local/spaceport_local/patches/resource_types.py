"""CloudFormation types that change nothing on one machine are accepted; MiniStack refuses the template."""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

from spaceport_local.patches.seams import Seam

SEAMS = (Seam("services.cloudformation.provisioners:_provision_resource", "3b8f01fb1871"),)
HARMLESS = (
    "AWS::ApiGatewayV2::Deployment",  # our stages deploy by themselves (AutoDeploy)
    "AWS::ApiGatewayV2::IntegrationResponse",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::Logs::QueryDefinition",
)


def install() -> None:
    for name in HARMLESS:
        provisioners._RESOURCE_HANDLERS.setdefault(name, {"create": _record, "delete": _forget})


def _record(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    return f"{stack}-{logical_id}", {}


def _forget(physical_id: str, properties: dict[str, Any]) -> None:
    """Nothing was made, so nothing is taken down."""
