"""`AWS::Cognito::UserPoolUser` and `…ToGroupAttachment`: MiniStack refuses a template with them."""

from __future__ import annotations

from typing import Any

from ministack.services import cognito
from ministack.services.cloudformation import provisioners

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.cognito:_admin_create_user", "b6be9f9333ac"),
    Seam("services.cognito:_admin_delete_user", "425d5d47c34a"),
    Seam("services.cognito:_admin_add_user_to_group", "357561047de2"),
    Seam("services.cognito:_admin_remove_user_from_group", "e69a1d1e07fb"),
)


def install() -> None:
    provisioners._RESOURCE_HANDLERS.update(
        {
            "AWS::Cognito::UserPoolUser": {"create": _create_user, "delete": _delete_user},
            "AWS::Cognito::UserPoolUserToGroupAttachment": {"create": _attach, "delete": _detach},
        }
    )


def _create_user(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    _check(cognito._admin_create_user(properties), "create the user")
    return properties["Username"], {}


def _delete_user(physical_id: str, properties: dict[str, Any]) -> None:
    cognito._admin_delete_user(properties)  # one that is gone, or whose pool is, needs no deleting


def _attach(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    _check(cognito._admin_add_user_to_group(properties), "add the user to the group")
    return f"{stack}-{logical_id}", {}


def _detach(physical_id: str, properties: dict[str, Any]) -> None:
    cognito._admin_remove_user_from_group(properties)


def _check(answer: tuple[int, Any, bytes], what: str) -> None:
    status, _, body = answer
    if status >= 300:
        raise ValueError(f"can't {what}: {body!r}")
