"""Runs at the start of every Lambda worker of a faulty engine: ends the worker, or fails its call, as told.

`armed/` in the tests' folder holds one file a fault: {function, call, marker, also, how, answers}. It strikes
the first call of that name by that function in whose parameters both the marker and `also` occur; the file
moves to `fired/`, so that of several workers one takes it, and the test knows that it was taken.
"""

from __future__ import annotations

import json
import os
import runpy
import threading
from pathlib import Path
from typing import Any

import botocore.client
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.exceptions import ReadTimeoutError

FOLDER = Path(os.environ["SPACEPORT_FAULTS"])
FUNCTION = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
THROTTLED = "ProvisionedThroughputExceededException"
DIED = 70

_call = botocore.client.BaseClient._make_api_call
_throttling = threading.local()


def call(client: Any, operation: str, params: dict[str, Any]) -> Any:
    fault = _taken(operation, params)
    if fault is None:
        return _call(client, operation, params)
    match fault["how"]:
        case "crash before":
            os._exit(DIED)
        case "crash after":
            try:
                return _call(client, operation, params)
            finally:
                os._exit(DIED)
        case "refuse":  # as botocore raises it after its own tries
            answer = {"Error": {"Code": THROTTLED, "Message": "injected by the test"}}
            raise client.exceptions.from_code(THROTTLED)(answer, operation)
        case "throttle":  # as the service answers, so that botocore's own tries count
            client.meta.events.register("before-send", _throttle, unique_id="fault")
            _throttling.left = fault["answers"]
            return _call(client, operation, params)
        case "no answer":
            raise ReadTimeoutError(endpoint_url="injected by the test")
        case how:
            raise AssertionError(how)


def _taken(operation: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The fault that strikes this call, if any."""
    armed = sorted(FOLDER.joinpath("armed").iterdir())
    text = repr(params) if armed else ""
    for file in armed:
        try:
            fault: dict[str, Any] = json.loads(file.read_text())
        except FileNotFoundError:
            continue  # another worker's by now
        if f"-{fault['function']}-" not in FUNCTION or fault["call"] not in (operation, "any"):
            continue
        if fault["marker"] in text and fault["also"] in text:
            try:
                file.rename(FOLDER / "fired" / file.name)
            except FileNotFoundError:
                continue
            return fault
    return None


class _Body:
    def stream(self, **_: Any) -> Any:
        yield json.dumps({"__type": THROTTLED, "message": "injected by the test"}).encode()


def _throttle(request: Any, **_: Any) -> AWSResponse | None:
    if not getattr(_throttling, "left", 0):
        return None
    _throttling.left -= 1
    return AWSResponse(request.url, 400, HeadersDict({"x-amzn-requestid": "injected"}), _Body())


runpy.run_path(os.environ["SPACEPORT_LAMBDA_SITE"])  # the engine's own: only one module of this name is run
botocore.client.BaseClient._make_api_call = call
