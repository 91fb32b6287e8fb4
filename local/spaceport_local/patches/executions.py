"""How a Step Functions execution ends.

- What was stopped or timed out stays so: MiniStack writes FAILED over it when the running task returns.
- The machine's own TimeoutSeconds ends it as TIMED_OUT, skipping every Catch: MiniStack ignores it.
- An execution that a restart of the engine interrupted tells so by its status event, like any other end.
"""

from __future__ import annotations

import contextvars
import json
import threading
from typing import Any

from ministack.core.responses import set_request_account_id, set_request_region
from ministack.services import stepfunctions

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.stepfunctions:_fail_execution", "e6da895fa0b7"),
    Seam("services.stepfunctions:_run_execution", "996dff84e0e0"),
    Seam("services.stepfunctions:_restore_state", "b94c49c3dd97"),
    Seam("services.stepfunctions:_emit_execution_status_event", "9c89e45693e3"),
    Seam("services.stepfunctions:_add_event", "b1db143ccd21"),
)
RUNNING = "RUNNING"


def install() -> None:
    fail, run = stepfunctions._fail_execution, stepfunctions._run_execution

    def fail_if_running(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution.get("status") == RUNNING:
            fail(execution, error, cause)

    def run_within_time(arn: str) -> None:
        execution = stepfunctions._executions.get(arn)
        limit = _machine_timeout(execution)
        if limit is None:
            run(arn)
            return
        context = contextvars.copy_context()  # the account and region of this execution
        timer = threading.Timer(limit, context.run, (_time_out, execution))
        timer.daemon = True
        timer.start()
        try:
            run(arn)
        finally:
            timer.cancel()

    stepfunctions._fail_execution = fail_if_running
    stepfunctions._run_execution = run_within_time


def announce_interrupted() -> None:
    """Emit the status event of every execution that the last stop of the engine interrupted.

    Called once the engine answers: what listens to the events calls it.
    """
    for (account, region, _), execution in list(stepfunctions._executions._data.items()):
        # MiniStack marks them so when it loads its state.
        if execution.get("error") == "States.ServiceRestart" and not execution.get("announced"):
            execution["announced"] = True
            set_request_account_id(account)
            set_request_region(region)
            stepfunctions._emit_execution_status_event(execution)


def _machine_timeout(execution: dict[str, Any] | None) -> float | None:
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"]) if execution else None
    if machine is None:
        return None
    try:
        limit = json.loads(machine["definition"]).get("TimeoutSeconds")
    except ValueError:
        return None  # MiniStack fails the execution for it
    return float(limit) if limit else None


def _time_out(execution: dict[str, Any]) -> None:
    if execution["status"] != RUNNING:
        return
    execution.update(status="TIMED_OUT", stopDate=stepfunctions.now_iso(), error="States.Timeout", cause=None)
    stepfunctions._add_event(
        execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
    )
    stepfunctions._emit_execution_status_event(execution)
