"""CloudWatch Logs subscriptions: real filter patterns, and each stream's lines in order.

MiniStack reduces a JSON pattern to substrings that never match, and starts a thread for each batch, so that
a slow function sees lines out of order. Here each stream has one queue to each function; what gathers while
the function works becomes one batch, as on AWS.
"""

from __future__ import annotations

import base64
import contextvars
import gzip
import json
import logging
import queue
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import cloudwatch_logs, lambda_svc

from spaceport_local.filter_patterns import PatternError, compile_pattern
from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.cloudwatch_logs:_subscription_pattern_matches", "e29009b58150"),
    Seam("services.cloudwatch_logs:_fanout_to_subscription_filters", "cb898244bb9f"),
    Seam("services.cloudwatch_logs:_compile_filter_pattern", "2568f38b5614"),
    Seam("services.cloudwatch_logs:_put_subscription_filter", "69fdaa27a61e"),
    Seam("services.lambda_svc:_execute_function_with_config_scope", "26a9d5f64e17"),
)
BATCH_LINES = 1_000  # far below the 6 MB that one invocation takes
IDLE_S = 60.0  # a stream that is quiet so long has most likely ended: its thread ends

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Route:
    """One stream's way to one function."""

    account: str
    function: str
    group: str
    stream: str
    filter_name: str


def install() -> None:
    put = cloudwatch_logs._put_subscription_filter
    deliveries = _Deliveries()

    def fan_out(group: str, stream: str, events: list[dict[str, Any]]) -> None:
        found = cloudwatch_logs._log_groups.get(group)
        for subscription in list(((found or {}).get("subscriptionFilters") or {}).values()):
            function = subscription.get("destinationArn", "").partition(":function:")[2].split(":")[0]
            # A function that subscribes to its own log would call itself for ever.
            if not function or group == f"/aws/lambda/{function}":
                continue
            matches = compile_pattern(subscription.get("filterPattern", ""))
            matched = [event for event in events if matches(event.get("message", ""))]
            if matched:
                name = subscription.get("filterName", "")
                account = cloudwatch_logs.get_account_id()
                deliveries.put(Route(account, function, group, stream, name), matched)

    def put_checked(data: dict[str, Any]) -> Any:
        try:
            compile_pattern(data.get("filterPattern", ""))
        except PatternError as error:
            return error_response_json(
                "InvalidParameterException", f"Invalid character(s) in term: {error}", 400
            )
        return put(data)

    cloudwatch_logs._fanout_to_subscription_filters = fan_out
    cloudwatch_logs._subscription_pattern_matches = lambda pattern, message: compile_pattern(pattern or "")(
        message or ""
    )
    cloudwatch_logs._compile_filter_pattern = lambda pattern: compile_pattern(pattern or "")
    cloudwatch_logs._put_subscription_filter = put_checked


class _Deliveries:
    """One queue and one thread for each route that is in use."""

    def __init__(self) -> None:
        self._queues: dict[Route, queue.Queue[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def put(self, route: Route, events: list[dict[str, Any]]) -> None:
        with self._lock:
            waiting = self._queues.get(route)
            if waiting is None:
                waiting = self._queues[route] = queue.Queue()
                context = contextvars.copy_context()
                threading.Thread(
                    target=context.run, args=(self._pump, route, waiting), name=f"{route}", daemon=True
                ).start()
            for event in events:
                waiting.put(event)

    def _pump(self, route: Route, waiting: queue.Queue[dict[str, Any]]) -> None:
        while True:
            try:
                batch = [waiting.get(timeout=IDLE_S)]
            except queue.Empty:
                with self._lock:
                    if waiting.empty():
                        del self._queues[route]
                        return
                continue
            while len(batch) < BATCH_LINES and not waiting.empty():
                batch.append(waiting.get())
            self._deliver(route, batch)

    def _deliver(self, route: Route, batch: list[dict[str, Any]]) -> None:
        function = lambda_svc._functions.get(route.function)
        if function is None:
            logger.warning("subscription %s: there is no function %s", route.filter_name, route.function)
            return
        try:
            result = lambda_svc._execute_function_with_config_scope(function, _envelope(route, batch))
        except Exception:
            logger.exception("subscription %s", route.filter_name)
            return
        if result.get("error"):
            logger.warning("subscription %s: %s failed: %s", route.filter_name, route.function, result)


def _envelope(route: Route, batch: list[dict[str, Any]]) -> dict[str, Any]:
    now = int(time.time() * 1000)
    payload = {
        "messageType": "DATA_MESSAGE",
        "owner": route.account,
        "logGroup": route.group,
        "logStream": route.stream,
        "subscriptionFilters": [route.filter_name],
        "logEvents": [
            {
                "id": uuid.uuid4().hex,
                "timestamp": event.get("timestamp", now),
                "message": event.get("message", ""),
            }
            for event in batch
        ],
    }
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(payload).encode())).decode()}}
