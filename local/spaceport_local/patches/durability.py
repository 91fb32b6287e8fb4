"""What anybody was told survives a kill of the engine. MiniStack keeps all of it in memory.

Written to the journal, and applied again at the next start:

- each change of a table's item, with its stream record, before the record is handed to a function;
- each execution's beginning and end, before its status event goes out.

Work that was promised with an answer is begun again after a kill until it was done once:

- the "Object Created" event of an object that was accepted;
- a function that a rule of EventBridge calls. A failure is retried and goes to the function's dead-letter
  queue, as on AWS; MiniStack calls it once and forgets, and drops the queue of a template's function.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import (
    AccountRegionScopedDict,
    get_account_id,
    get_region,
    set_request_account_id,
    set_request_region,
)
from ministack.services import dynamodb, eventbridge, lambda_svc, s3, stepfunctions
from ministack.services.cloudformation import provisioners

from spaceport_local.journal import Journal, Task
from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.dynamodb:_emit_stream_event", "8568d0446f26"),
    Seam("services.dynamodb:_set_item", "4e78ad492132"),
    Seam("services.dynamodb:_remove_item", "5cce50c99688"),
    Seam("services.dynamodb:_extract_key_val", "faaaf17a7c39"),
    Seam("services.dynamodb:stream_live_records", "37a99e724178"),
    Seam("services.stepfunctions:load_persisted_state", "6f58d9dc1e6e"),
    Seam("services.s3:_fire_s3_event_async", "d42619f0eb86"),
    Seam("services.s3:_next_event_sequencer", "e7f430202d19"),
    Seam("services.eventbridge:_dispatch_to_lambda", "1f95adbaed3a"),
    Seam("services.lambda_svc:_get_func_record_for_ref", "492b4efe8f90"),
    Seam("services.lambda_svc:_execution_record_for_config", "632acaa44892"),
    Seam("services.cloudformation.provisioners:_lambda_create", "8b2cf80e961d"),
    Seam("services.cloudformation.provisioners:_lambda_update", "4855410e37d7"),
    Seam("services.lambda_svc:_route_async_failure", "c023331e333f"),
)
ITEM, EXECUTION = "item", "execution"
OBJECT_EVENT, INVOCATION = "object event", "invocation"
RETRY_WAIT_S = 1.0  # AWS waits a minute, then two

logger = logging.getLogger(__name__)
_deliveries: _Deliveries | None = None


def install(journal: Journal) -> None:
    _keep_items(journal)
    _keep_executions(journal)
    deliveries = _Deliveries(journal)
    _keep_object_events(deliveries)
    _keep_invocations(deliveries)
    global _deliveries  # noqa: PLW0603  the engine resumes them once it answers
    _deliveries = deliveries


def resume() -> None:
    """Begin the promised work again that the last engine did not finish. Called once the engine answers."""
    if _deliveries is not None:
        _deliveries.resume()


# ---- tables -----------------------------------------------------------------------------------------------


def _keep_items(journal: Journal) -> None:
    emit, records_since, load = (
        dynamodb._emit_stream_event,
        dynamodb.stream_records_since,
        dynamodb.load_persisted_state,
    )

    def emit_and_write(table: str, event: str, old: Any, new: Any, *rest: Any, **options: Any) -> None:
        with journal.lock:
            before = dynamodb.stream_end_position(table)
            emit(table, event, old, new, *rest, **options)
            live = dynamodb.stream_live_records(table)
            grew = dynamodb.stream_end_position(table) > before
            journal.append(
                ITEM,
                {
                    "scope": [get_account_id(), get_region(), table],
                    "old": None if new else old,
                    "new": new,
                    "position": before,
                    "record": live[-1] if grew else None,
                },
            )

    def written_records_since(*arguments: Any, **options: Any) -> Any:
        with journal.lock:
            return records_since(*arguments, **options)

    def load_and_apply(state: dict[str, Any]) -> None:
        load(state)
        for entry in journal.earlier(ITEM):
            _apply(entry)

    dynamodb._emit_stream_event = emit_and_write
    dynamodb.stream_records_since = written_records_since
    dynamodb.load_persisted_state = load_and_apply


def _apply(entry: dict[str, Any]) -> None:
    """Make a table's item, and its stream, what they became."""
    scope = entry["scope"]
    table = dynamodb._tables.get_scoped(*scope)
    if table is None:
        return  # it was deleted, or its stack was never finished
    item = entry["new"] or entry["old"]
    hash_key, range_key = (
        dynamodb._extract_key_val(item.get(name)) if name else "__no_sort__"
        for name in (table["pk_name"], table["sk_name"])
    )
    if entry["new"]:
        dynamodb._set_item(table, hash_key, range_key, item)
    else:
        dynamodb._remove_item(table, hash_key, range_key)
    if entry["record"] is None:
        return
    records = dynamodb._stream_records.get_scoped(*scope) or []
    end = dynamodb._stream_trimmed.get_scoped(*scope, 0) + len(records)
    if entry["position"] > end:  # nobody waited for what was before: it was not saved
        records = []
        dynamodb._stream_trimmed.set_scoped(*scope, entry["position"])
    if entry["position"] >= end:  # else the save holds it
        dynamodb._stream_records.set_scoped(*scope, [*records, entry["record"]])


# ---- executions -------------------------------------------------------------------------------------------


def _keep_executions(journal: Journal) -> None:
    emit, load = stepfunctions._emit_execution_status_event, stepfunctions.load_persisted_state

    def write_and_emit(execution: dict[str, Any]) -> None:
        journal.append_or_log(
            EXECUTION, [get_account_id(), get_region(), execution["executionArn"], dict(execution)]
        )
        emit(execution)

    def apply_and_load(state: dict[str, Any]) -> None:
        executions = state.setdefault("executions", AccountRegionScopedDict())
        for account, region, arn, execution in journal.earlier(EXECUTION):
            executions.set_scoped(account, region, arn, execution)
        load(state)  # it ends those that still run

    stepfunctions._emit_execution_status_event = write_and_emit
    stepfunctions.load_persisted_state = apply_and_load


# ---- promised work ----------------------------------------------------------------------------------------


class _Deliveries:
    """Does promised work in threads, and tells the journal when it was done."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._left = journal.unfinished()  # by the last engine: what this one begins, it also finishes
        self._ways: dict[str, Callable[..., None]] = {}

    def add(self, kind: str, way: Callable[..., None]) -> None:
        self._ways[kind] = way

    def start(self, kind: str, *details: Any) -> None:
        self._run(self._journal.begin(kind, [get_account_id(), get_region(), *details]))

    def resume(self) -> None:
        for task in self._left:
            logger.info("again, for it was interrupted: %s %s", task.kind, json.dumps(task.details)[:300])
            self._run(task)

    def _run(self, task: Task) -> None:
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._work, task), name=task.kind, daemon=True).start()

    def _work(self, task: Task) -> None:
        account, region, *details = task.details
        set_request_account_id(account)
        set_request_region(region)
        try:
            self._ways[task.kind](*details)
        except Exception:
            logger.exception("%s %s", task.kind, details)
        self._journal.finish(task)


def _keep_object_events(deliveries: _Deliveries) -> None:
    def fire_later(bucket: str, key: str, event: str, *rest: Any, **options: Any) -> None:
        if bucket in s3._bucket_notifications:
            options["sequencer"] = s3._next_event_sequencer(event)
            deliveries.start(OBJECT_EVENT, [bucket, key, event, *rest], options)

    s3._fire_s3_event_async = fire_later
    deliveries.add(OBJECT_EVENT, lambda arguments, options: s3._fire_s3_event(*arguments, **options))


def _keep_invocations(deliveries: _Deliveries) -> None:
    def dispatch(function: str, payload: str) -> None:
        deliveries.start(INVOCATION, function, payload)

    eventbridge._dispatch_to_lambda = dispatch
    deliveries.add(INVOCATION, _invoke)
    _keep_dead_letter_queues()


def _keep_dead_letter_queues() -> None:
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = handlers["create"], handlers["update"]

    def keep(function: str, properties: dict[str, Any]) -> None:
        config = lambda_svc._functions[function]["config"]
        config.pop("DeadLetterConfig", None)
        if letters := properties.get("DeadLetterConfig"):
            config["DeadLetterConfig"] = letters

    def create_function(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        answer = create(logical_id, properties, stack)
        keep(answer[0], properties)
        return answer

    def update_function(name: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        answer = update(name, old, new, *rest)
        keep(answer[0], new)
        return answer

    handlers["create"], handlers["update"] = create_function, update_function


def _invoke(arn: str, payload: str) -> None:
    """Call a function asynchronously: again when it fails, and at last to where its failures go."""
    function, config, name = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        logger.warning("there is no function %s", arn)
        return
    event = json.loads(payload)
    record = lambda_svc._execution_record_for_config(function, config)
    settings = function.get("event_invoke_config") or {}
    retries = settings.get("MaximumRetryAttempts")
    for attempt in range(1 + (2 if retries is None else int(retries))):
        time.sleep(RETRY_WAIT_S * attempt)
        result = lambda_svc._execute_function_with_config_scope(record, event)
        if not result.get("error"):
            return
        logger.warning("%s failed: %s", name, result.get("body"))
    failures = (settings.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination")
    destination = failures or (config.get("DeadLetterConfig") or {}).get("TargetArn")
    if destination:
        lambda_svc._route_async_failure(destination, name, event, result)
