"""What the HTTP API's handlers share: a router that tells refusals as problem details, and who asks what."""

from __future__ import annotations

import json
from base64 import b64decode

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from spaceport.callers import Caller, caller_of
from spaceport.errors import UserError
from spaceport.problems import FAULT, MEDIA_TYPE, NO_ROUTE, problem, status_of


def router(logger: Logger) -> APIGatewayHttpResolver:
    """A router without routes. A UserError is the answer; anything else is our fault, which the log has."""
    app = APIGatewayHttpResolver()

    @app.exception_handler(UserError)  # type: ignore[untyped-decorator]
    def tell(refused: UserError) -> Response[str]:
        logger.info("refused", code=refused.code)
        return _response(refused)

    @app.not_found
    def tell_no_route(error: Exception) -> Response[str]:
        return _response(NO_ROUTE)

    @app.exception_handler(Exception)  # type: ignore[untyped-decorator]
    def tell_fault(error: Exception) -> Response[str]:
        logger.exception("fault")
        return _response(FAULT)

    return app


def caller_in(app: APIGatewayHttpResolver) -> Caller:
    """Whoever the token of the request at hand is of, as API Gateway has checked it."""
    return caller_of(app.current_event.request_context.authorizer.jwt_claim)


def body_in(app: APIGatewayHttpResolver) -> bytes:
    """The request's body, which API Gateway passes on in base64 where its media type is not text."""
    body = app.current_event.get("body") or ""
    return b64decode(body) if app.current_event.is_base64_encoded else body.encode()


def address_in(app: APIGatewayHttpResolver) -> str:
    """The API's address as the request at hand came by, without a slash at the end.

    Whoever stands before the API and serves it below a path of its own says so, as proxies do.
    """
    event = app.current_event
    headers = {name.lower(): value for name, value in event.headers.items()}
    prefix, stage = headers.get("x-forwarded-prefix", ""), event.request_context.stage
    below = "" if stage == "$default" else f"/{stage}"
    return f"{headers.get('x-forwarded-proto', 'https')}://{headers['host']}{prefix}{below}"


def _response(refused: UserError) -> Response[str]:
    return Response(status_of(refused), MEDIA_TYPE, json.dumps(problem(refused)))
