"""A Lambda function's error carries the name that AWS gives it, so that a Retry or Catch by name matches.

That is the exception's class name, or `Runtime.ExitError` where the process ended in the middle of a call.
MiniStack calls all of these `Runtime.HandlerError`.
"""

from __future__ import annotations

import threading
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("core.lambda_runtime:_PYTHON_WORKER_SCRIPT", "368800addf4d"),
    Seam("core.lambda_runtime:Worker.invoke", "96751a754710"),
    Seam("services.lambda_svc:_execute_function_warm", "62b9218bef5b"),
)
GENERIC = "Runtime.HandlerError"
PROCESS_ENDED, DIED = "Runtime.ExitError", "Worker process died"  # AWS's error, and MiniStack's words for it
ERROR_LINE = '"trace": traceback.format_exc()}'


def install() -> None:
    lambda_runtime._PYTHON_WORKER_SCRIPT = lambda_runtime._PYTHON_WORKER_SCRIPT.replace(
        ERROR_LINE, '"trace": traceback.format_exc(), "error_type": type(e).__name__}'
    )
    invoke = lambda_runtime.Worker.invoke
    execute = lambda_svc._execute_function_warm
    last = threading.local()  # a worker is invoked in the thread that executes the function

    def invoke_and_remember(self: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = invoke(self, *arguments, **options)
        last.error_type = PROCESS_ENDED if answer.get("error") == DIED else answer.get("error_type")
        return answer

    def execute_with_error_type(func: Any, event: Any, request_id: str) -> dict[str, Any]:
        last.error_type = None
        result: dict[str, Any] = execute(func, event, request_id)
        body = result.get("body")
        if (
            last.error_type
            and result.get("error")
            and isinstance(body, dict)
            and body["errorType"] == GENERIC
        ):
            body["errorType"] = last.error_type
        return result

    lambda_runtime.Worker.invoke = invoke_and_remember
    lambda_svc._execute_function_warm = execute_with_error_type
