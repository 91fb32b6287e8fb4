"""The local cloud's engine with faults of AWS's own, which nobody can provoke: `faulty_engine.py FOLDER ...`.

The other arguments are the engine's. FOLDER is `faults.Faults`' and is read anew for each fault:

- `tasks/{execution}.json`: {state: [error, how many attempts fail, cause]}; the cause may be left out;
- `drops/{key's last part}.json`: {object version: [seconds after which its event comes, for each time]}.
  The events of keys with `/faults` in them wait for it;
- `doubled/{job}`: records of this job's row come twice;
- `armed/`: what strikes in functions (`worker_site/sitecustomize.py`).

What has struck is a file in `fired/`. `changes.jsonl` gets each change of a row of the Jobs table: the old
image and the new one. Waits between retries last a tenth of what the state machine says.
"""

from __future__ import annotations

import contextvars
import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from spaceport_local import __main__ as command
from spaceport_local import engine

WAIT_SCALE = 0.1
WORKER_SITE = Path(__file__).with_name("worker_site")
HELD_KEYS = "/faults"
PLAN_WITHIN_S = 60.0  # the test has crashed, if it tells nothing for so long
_at: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("at")


def inject(folder: Path) -> None:
    """Let MiniStack do as the folder says."""
    os.environ["SPACEPORT_FAULTS"] = str(folder)
    os.environ["SPACEPORT_LAMBDA_SITE"] = str(engine.LAMBDA_SITE / "sitecustomize.py")
    os.environ["PYTHONPATH"] = str(WORKER_SITE)
    fail_tasks(folder)
    plan_object_events(folder)
    double_stream_records(folder)
    keep_changes(folder)


def fail_tasks(folder: Path) -> None:
    from ministack.services import stepfunctions

    stepfunctions._SFN_WAIT_SCALE = WAIT_SCALE
    execute, invoke = stepfunctions._execute_task, stepfunctions._invoke_resource
    failed: Counter[tuple[str, str]] = Counter()

    def execute_knowing_where(state: Any, given: Any, execution: Any, context: Any) -> Any:
        _at.set((execution["name"], context["State"]["Name"]))
        return execute(state, given, execution, context)

    def invoke_or_fail(resource: str, request: Any) -> Any:
        execution, state = _at.get()
        file = folder / "tasks" / f"{execution}.json"
        faults = json.loads(file.read_text()) if file.exists() else {}
        error, times, *cause = faults.get(state, ("", 0))
        if failed[execution, state] < times:
            failed[execution, state] += 1
            (folder / "fired" / f"{execution}.{state}.{failed[execution, state]}").touch()
            told = cause[0] if cause else f"{error} was injected by the test."
            raise stepfunctions._ExecutionError(error, told)
        return invoke(resource, request)

    stepfunctions._execute_task = execute_knowing_where
    stepfunctions._invoke_resource = invoke_or_fail


def plan_object_events(folder: Path) -> None:
    from ministack.services import s3

    fire = s3._fire_s3_event

    def fire_as_planned(bucket: str, key: str, *rest: Any, **options: Any) -> None:
        if HELD_KEYS not in key:
            fire(bucket, key, *rest, **options)
            return
        name = key.rsplit("/", 1)[-1]
        plan, deadline = folder / "drops" / f"{name}.json", time.monotonic() + PLAN_WITHIN_S
        while not plan.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        began = time.monotonic()
        for number, seconds in enumerate(json.loads(plan.read_text())[options["version_id"]]):
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            fire(bucket, key, *rest, **options)
            (folder / "fired" / f"{name}.{options['version_id']}.{number}").touch()

    s3._fire_s3_event = fire_as_planned


def double_stream_records(folder: Path) -> None:
    from ministack.services import lambda_svc

    execute = lambda_svc._execute_function

    def execute_twice(function: Any, event: Any, *rest: Any, **options: Any) -> Any:
        answer = execute(function, event, *rest, **options)
        records = event.get("Records", []) if isinstance(event, dict) else []
        images = [record["dynamodb"].get("NewImage", {}) for record in records if "dynamodb" in record]
        jobs = {image["jobId"]["S"] for image in images if "jobId" in image}
        doubled = [job for job in jobs if (folder / "doubled" / job).exists()]
        if not doubled:
            return answer
        for job in doubled:
            name = function["config"]["FunctionName"].split("-")[1]
            (folder / "fired" / f"{job}.doubled.{name}").touch()
        return execute(function, event, *rest, **options)

    lambda_svc._execute_function = execute_twice


def keep_changes(folder: Path) -> None:
    from ministack.services import dynamodb

    emit, lock = dynamodb._emit_stream_event, threading.Lock()

    def emit_and_keep(table: str, event: str, old: Any, new: Any, *rest: Any, **options: Any) -> None:
        emit(table, event, old, new, *rest, **options)
        if "-JobsTable-" in table:
            with lock, (folder / "changes.jsonl").open("a") as changes:
                changes.write(json.dumps({"old": old, "new": new}) + "\n")

    dynamodb._emit_stream_event = emit_and_keep


def main() -> int:
    folder = Path(sys.argv.pop(1))
    load = engine._load_app

    def load_faulty(*arguments: Any) -> Any:
        app = load(*arguments)
        inject(folder)
        return app

    engine._load_app = load_faulty
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
