"""Runs at the start of every Lambda worker of the one-machine cloud, before the function's own code.

A function posts to WebSocket clients at `https://{api}.execute-api.{region}.amazonaws.com/{stage}`, which
its environment gives it as on AWS. That host is not on this machine: this sends the call to the engine.
The functions themselves stay as they are.
"""

import os
import re

_ENGINE = os.environ.get("SPACEPORT_ENGINE_URL")
_EXECUTE_API = re.compile(
    r"^https://(?P<api>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/(?P<stage>[^/]+)"
)


def local_url(url: str, engine: str) -> str:
    """`url`, or where `engine` serves the same API if `url` is one of AWS's execute-api hosts."""
    found = _EXECUTE_API.match(url)
    if not found:
        return url
    return f"{engine}/_aws/execute-api/{found['api']}/{found['stage']}{url[found.end() :]}"


def _redirect(params: dict[str, str], **_: object) -> None:
    params["url"] = local_url(params["url"], _ENGINE or "")


if _ENGINE:
    try:
        import botocore.handlers

        botocore.handlers.BUILTIN_HANDLERS.append(("before-call.apigatewaymanagementapi", _redirect))
    except ImportError:
        pass  # a function without botocore posts nothing
