"""`AWS::SecretsManager::Secret`: `!Ref` gives the ARN, and the generated password obeys its options.

In MiniStack `!Ref` gives the name, and ExcludePunctuation and its like are ignored.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.cloudformation.provisioners:_sm_secret_string", "35e09b8c3f3d"),
    Seam("services.cloudformation.provisioners:_sm_secret_create", "0bae0110fce2"),
    Seam("services.cloudformation.provisioners:_sm_secret_update", "e87220a5ff35"),
    Seam("services.cloudformation.provisioners:_sm_secret_delete", "4ff615ac8289"),
    Seam("services.secretsmanager:_get_random_password", "c69d89e32c93"),
)


def install() -> None:
    handlers = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def name_of(physical_id: str) -> str:
        secrets = secretsmanager._secrets
        return next((name for name in secrets if secrets[name]["ARN"] == physical_id), physical_id)

    def create_secret(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        _, attributes = create(logical_id, properties, stack)
        return attributes["Arn"], attributes

    def update_secret(physical_id: str, *arguments: Any, **options: Any) -> Any:
        _, attributes = update(name_of(physical_id), *arguments, **options)
        return attributes["Arn"], attributes

    def delete_secret(physical_id: str, properties: dict[str, Any]) -> None:
        delete(name_of(physical_id), properties)

    def secret_string(properties: dict[str, Any]) -> str:
        wanted = properties.get("GenerateSecretString")
        if properties.get("SecretString") or not wanted:
            return str(properties.get("SecretString", ""))
        password = _generate(wanted)
        if "SecretStringTemplate" not in wanted:
            return password
        return json.dumps(
            {**json.loads(wanted["SecretStringTemplate"]), wanted["GenerateStringKey"]: password}
        )

    provisioners._sm_secret_string = secret_string
    handlers.update(create=create_secret, update=update_secret, delete=delete_secret)


def _generate(wanted: dict[str, Any]) -> str:
    options = {
        name: _typed(value)
        for name, value in wanted.items()
        if name not in ("SecretStringTemplate", "GenerateStringKey")
    }
    status, _, body = secretsmanager._get_random_password(options)
    answer = json.loads(body)
    if status >= 400:
        raise ValueError(f"GenerateSecretString: {answer.get('message')}")
    return str(answer["RandomPassword"])


def _typed(value: Any) -> Any:
    """CloudFormation also takes numbers and booleans as text."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return int(value) if isinstance(value, str) and value.isdigit() else value
