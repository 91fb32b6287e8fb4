"""The local cloud's engine with faults of AWS's own, which nobody can provoke: `faulty_engine.py FAULTS ...`.

FAULTS is a JSON file, read for every task: {execution's name: {state: [error, how many attempts fail,
cause]}}; the cause may be left out.
The other arguments are the engine's. Waits between retries last a tenth of what the state machine says.
"""

from __future__ import annotations

import contextvars
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from spaceport_local import __main__ as command
from spaceport_local import engine

WAIT_SCALE = 0.1
_at: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("at")


def inject(faults: Path) -> None:
    """Let tasks of MiniStack's Step Functions fail as the file says."""
    from ministack.services import stepfunctions

    stepfunctions._SFN_WAIT_SCALE = WAIT_SCALE
    execute, invoke = stepfunctions._execute_task, stepfunctions._invoke_resource
    failed: Counter[tuple[str, str]] = Counter()

    def execute_knowing_where(state: Any, given: Any, execution: Any, context: Any) -> Any:
        _at.set((execution["name"], context["State"]["Name"]))
        return execute(state, given, execution, context)

    def invoke_or_fail(resource: str, request: Any) -> Any:
        execution, state = _at.get()
        error, times, *cause = json.loads(faults.read_text()).get(execution, {}).get(state, ("", 0))
        if failed[execution, state] < times:
            failed[execution, state] += 1
            told = cause[0] if cause else f"{error} was injected by the test."
            raise stepfunctions._ExecutionError(error, told)
        return invoke(resource, request)

    stepfunctions._execute_task = execute_knowing_where
    stepfunctions._invoke_resource = invoke_or_fail


def main() -> int:
    faults = Path(sys.argv.pop(1))
    load = engine._load_app

    def load_faulty(*arguments: Any) -> Any:
        app = load(*arguments)
        inject(faults)
        return app

    engine._load_app = load_faulty
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
