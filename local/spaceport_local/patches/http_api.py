"""`AWS::ApiGatewayV2::Api` with a `Body`, as `AWS::Serverless::HttpApi` becomes, and where a request came in.

MiniStack ignores `Body`: an HTTP API of a SAM template has no routes and no authorizer there. And it tells a
function the path without the stage; API Gateway tells it with, and Powertools cuts the stage off. Nor does it
tell the protocol; and it serves APIs below a path of its own, of which it says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ministack.services import apigateway
from ministack.services.cloudformation import provisioners

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.cloudformation.provisioners:_apigw_v2_api_create", "0002e18b4198"),
    Seam("services.cloudformation.provisioners:_apigw_v2_api_update", "d12d60c12ed7"),
    Seam("services.apigateway:_create_authorizer", "acfa0e4818fe"),
    Seam("services.apigateway:_create_integration", "970005e3a99e"),
    Seam("services.apigateway:_create_route", "9fffc0fee702"),
    Seam("services.apigateway:_invoke_lambda_proxy", "fbe5024fcd36"),
)
ANY_METHOD = "x-amazon-apigateway-any-method"
CORS = "x-amazon-apigateway-cors"
DEFAULT_STAGE = "$default"
OPEN = "NONE"  # how SAM tells API Gateway that a route has no authorizer


def install() -> None:
    handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    create, update = handlers["create"], handlers["update"]
    invoke = apigateway._invoke_lambda_proxy

    def create_api(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        api_id, attributes = create(logical_id, _titled(properties), stack)
        if body := properties.get("Body"):
            _import(api_id, body)
        return api_id, attributes

    def update_api(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str | None = None
    ) -> Any:
        api_id, attributes = update(physical_id, _titled(old), _titled(new), stack, logical_id)
        if body := new.get("Body"):
            _import(api_id, body)
        return api_id, attributes

    async def invoke_with_place(
        integration: Any, api_id: str, stage: str, path: str, *arguments: Any, **options: Any
    ) -> Any:
        whole = path if stage == DEFAULT_STAGE else f"/{stage}{path}"
        method, headers, *others = arguments
        told = {**headers, "x-forwarded-proto": "http"}
        if not headers.get("host", "").startswith(f"{api_id}."):
            told["x-forwarded-prefix"] = f"/_aws/execute-api/{api_id}"
        return await invoke(integration, api_id, stage, whole, method, told, *others, **options)

    handlers.update(create=create_api, update=update_api)
    apigateway._invoke_lambda_proxy = invoke_with_place


def _titled(properties: dict[str, Any]) -> dict[str, Any]:
    """The properties with the name that the API's document gives."""
    title = properties.get("Body", {}).get("info", {}).get("title")
    return {"Name": title, **properties} if title else properties


def _import(api_id: str, body: Mapping[str, Any]) -> None:
    """Make the API's authorizers, routes and CORS those of the OpenAPI document `body`, and no others."""
    for store in (apigateway._routes, apigateway._integrations, apigateway._authorizers):
        store[api_id] = {}
    schemes = body.get("components", {}).get("securitySchemes", {})
    authorizers = {name: _authorizer(api_id, name, scheme) for name, scheme in schemes.items()}
    api = apigateway._apis[api_id]
    api.pop("corsConfiguration", None)
    if cors := body.get(CORS):
        api["corsConfiguration"] = dict(cors)
    for path, operations in body.get("paths", {}).items():
        for method, operation in operations.items():
            _route(api_id, _route_key(method, path), operation, authorizers)


def _authorizer(api_id: str, name: str, scheme: Mapping[str, Any]) -> str:
    """The id of the JWT authorizer that `scheme` describes. The local cloud knows no other kind."""
    told = scheme.get("x-amazon-apigateway-authorizer", {})
    if told.get("type") != "jwt":
        raise ValueError(f"the authorizer {name} of an HTTP API is not of type jwt")
    made = apigateway._create_authorizer(
        api_id,
        {
            "name": name,
            "authorizerType": "JWT",
            "identitySource": [told["identitySource"]],
            "jwtConfiguration": told["jwtConfiguration"],
        },
    )
    return str(_made(made)["authorizerId"])


def _route(api_id: str, route_key: str, operation: Mapping[str, Any], authorizers: Mapping[str, str]) -> None:
    told = operation["x-amazon-apigateway-integration"]
    integration = apigateway._create_integration(
        api_id,
        {
            "integrationType": told["type"].upper(),
            "integrationUri": told["uri"],
            "integrationMethod": told["httpMethod"],
            "payloadFormatVersion": told["payloadFormatVersion"],
        },
    )
    route = {"routeKey": route_key, "target": f"integrations/{_made(integration)['integrationId']}"}
    for requirement in operation.get("security", []):
        for name, scopes in requirement.items():
            if name == OPEN:
                continue
            secured = {"authorizationType": "JWT", "authorizerId": authorizers[name]}
            route |= {**secured, "authorizationScopes": scopes}
    _made(apigateway._create_route(api_id, route))


def _route_key(method: str, path: str) -> str:
    if path.lstrip("/") == DEFAULT_STAGE:
        return DEFAULT_STAGE
    return f"{'ANY' if method == ANY_METHOD else method.upper()} {path}"


def _made(answer: tuple[int, Any, bytes]) -> dict[str, Any]:
    """The body of a control plane's answer. Raises ValueError where that is a refusal."""
    status, _, body = answer
    made: dict[str, Any] = json.loads(body)
    if status >= 300:
        raise ValueError(f"the HTTP API can't be imported: {made}")
    return made
