"""DynamoDB streams to Lambda as the event source mapping's settings say.

MiniStack ignores the batching window, partial-batch responses, bisecting, the retry limit and the
destination for what failed: one bad record blocks its shard for ever, or is lost. It also serves all
mappings in one thread, so that a slow function delays every other. Here each mapping works for itself,
one batch at a time, as a shard does on AWS.

MiniStack also saves each mapping's position in its stream, but not the stream: after a restart nothing is
delivered until as many records have come as before. Here what is not yet delivered is saved too.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ministack.services import dynamodb, lambda_svc

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.lambda_svc:_poll_dynamodb_streams", "2b2460e933a9"),
    Seam("services.lambda_svc:_poll_loop", "6a443090919a"),
    Seam("services.lambda_svc:_iter_all_esms", "7db06c0627a5"),
    Seam("services.lambda_svc:_apply_filter_criteria", "d8d7d5c8f77e"),
    Seam("services.lambda_svc:_send_ddb_stream_failure_record", "0efd5f5ffe2d"),
    Seam("services.lambda_svc:_execute_function", "3ceb16d6480a"),
    Seam("services.lambda_svc:_dynamodb_stream_table_from_arn_spec", "339c3125c285"),
    Seam("services.lambda_svc:_get_func_record_for_qualifier", "a86e90478088"),
    Seam("services.dynamodb:stream_records_since", "aed31a353fda"),
    Seam("services.dynamodb:stream_start_position", "3b822e76fbb1"),
    Seam("services.lambda_svc:get_state", "fbae0860de48"),
    Seam("services.lambda_svc:load_persisted_state", "140113ddcd36"),
    Seam("services.dynamodb:get_state", "ce90690a6033"),
    Seam("services.dynamodb:load_persisted_state", "6f58d9dc1e6e"),
    Seam("services.dynamodb:stream_end_position", "d0483912696d"),
)
RETRY_WAIT_S = 1.0
BACKLOGS = "spaceport_stream_backlogs"  # in the saved state of DynamoDB
EVERYTHING = -1  # the API's value for "no limit"

logger = logging.getLogger(__name__)


class Step(Enum):
    """What to do after a batch."""

    ADVANCE = "advance"  # by `Decision.count` records
    BISECT = "bisect"
    RETRY = "retry"
    GIVE_UP = "give up"  # send the batch to the destination and advance past it


@dataclass(frozen=True)
class Decision:
    step: Step
    count: int = 0
    condition: str = ""  # why it was given up, in AWS's words


@dataclass
class Shard:
    """A mapping's place in its stream's retries: `limit` is the smaller batch after a bisection."""

    failures: int = 0
    limit: int | None = None
    window_began: float | None = None
    busy: bool = False

    def clear(self) -> None:
        self.failures, self.limit = 0, None


def decide(
    settings: Mapping[str, Any], shard: Shard, records: Sequence[Mapping[str, Any]], result: Mapping[str, Any]
) -> Decision:
    """What a mapping with `settings` does after the function answered `result` for `records`."""
    failed_from = first_failure(settings, records, result)
    if failed_from is None:
        return Decision(Step.ADVANCE, len(records))
    if failed_from > 0:
        return Decision(Step.ADVANCE, failed_from)  # what is before the first failure is done
    if settings.get("BisectBatchOnFunctionError") and len(records) > 1:
        return Decision(Step.BISECT)
    attempts, age = settings.get("MaximumRetryAttempts"), settings.get("MaximumRecordAgeInSeconds")
    if attempts is not None and EVERYTHING < int(attempts) <= shard.failures:
        return Decision(Step.GIVE_UP, len(records), "RetryAttemptsExhausted")
    if age is not None and int(age) > 0 and time.time() - _oldest(records) > int(age):
        return Decision(Step.GIVE_UP, len(records), "MaxRecordAgeExceeded")
    return Decision(Step.RETRY)


def first_failure(
    settings: Mapping[str, Any], records: Sequence[Mapping[str, Any]], result: Mapping[str, Any]
) -> int | None:
    """The index of the first record that failed, or None. An unreadable answer fails the whole batch."""
    if result.get("error"):
        return 0
    if "ReportBatchItemFailures" not in (settings.get("FunctionResponseTypes") or []):
        return None
    body = result.get("body")
    if isinstance(body, str | bytes) and body:
        body = json.loads(body)
    failures = body.get("batchItemFailures") if isinstance(body, dict) else None
    if not failures:
        return None
    order = [record["dynamodb"]["SequenceNumber"] for record in records]
    named = [failure.get("itemIdentifier") for failure in failures]
    return min((order.index(name) if name in order else 0) for name in named)


def install() -> None:
    lambda_svc._poll_dynamodb_streams = _Poller().poll
    # MiniStack waits 50 ms after a look that found nothing to start: here that is any look at a busy shard.
    lambda_svc._ESM_IDLE_WAKE_GAP_SECONDS = 0

    get_tables, load_tables = dynamodb.get_state, dynamodb.load_persisted_state
    load_functions = lambda_svc.load_persisted_state

    def get_tables_and_backlogs() -> dict[str, Any]:
        return {**get_tables(), BACKLOGS: _backlogs()}

    def load_tables_and_backlogs(state: dict[str, Any]) -> None:
        load_tables(state)
        for account, region, table, position, records in state.get(BACKLOGS, []):
            dynamodb._stream_trimmed.set_scoped(account, region, table, position)
            dynamodb._stream_records.set_scoped(account, region, table, records)

    def load_functions_and_positions(state: dict[str, Any]) -> None:
        load_functions(state)  # after the tables: MiniStack's registry has DynamoDB before Lambda
        _hold_positions_to_their_streams()

    dynamodb.get_state = get_tables_and_backlogs
    dynamodb.load_persisted_state = load_tables_and_backlogs
    lambda_svc.load_persisted_state = load_functions_and_positions


def _backlogs() -> list[tuple[str, str, str, int, list[dict[str, Any]]]]:
    """For each stream (account, region, table): the position that every mapping has reached, and the records
    from there on."""
    reached: dict[tuple[str, str, str], int] = {}
    for account, region, mapping in lambda_svc._iter_all_esms():
        table = _table_of(mapping)
        if table is None:
            continue
        end = dynamodb.stream_end_position(table, account_id=account, region=region)
        first = 0 if mapping.get("StartingPosition") == "TRIM_HORIZON" else end
        with lambda_svc._dynamodb_stream_positions_lock:
            position = lambda_svc._dynamodb_stream_positions._data.get(
                (account, region, mapping["UUID"]), first
            )
        stream = (account, region, table)
        reached[stream] = min(position, reached.get(stream, end))
    backlogs = []
    for (account, region, table), position in reached.items():
        oldest = dynamodb.stream_start_position(table, account_id=account, region=region)
        records = dynamodb.stream_live_records(table, account_id=account, region=region)
        since = max(position, oldest)
        backlogs.append((account, region, table, since, records[since - oldest :]))
    return backlogs


def _hold_positions_to_their_streams() -> None:
    """After a kill the two saves may be of different moments: no position may lie beyond its stream's end."""
    for account, region, mapping in lambda_svc._iter_all_esms():
        table, key = _table_of(mapping), (account, region, mapping["UUID"])
        positions = lambda_svc._dynamodb_stream_positions._data
        if table is not None and key in positions:
            end = dynamodb.stream_end_position(table, account_id=account, region=region)
            positions[key] = min(positions[key], end)


def _table_of(mapping: Mapping[str, Any]) -> str | None:
    """The table whose stream a mapping reads; None for another source."""
    stream = mapping.get("EventSourceArn", "")
    if ":dynamodb:" not in stream:
        return None
    found = lambda_svc._dynamodb_stream_table_from_arn_spec(lambda_svc.parse_arn(stream))
    return str(found[0]) if found else None


@dataclass
class _Poller:
    """MiniStack's poller thread calls `poll`; each mapping's batch is worked on in a thread of its own."""

    _shards: dict[str, Shard] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def poll(self) -> bool:
        """Start what can be started; whether anything was."""
        started = False
        for account, region, mapping in lambda_svc._iter_all_esms():
            account_token = lambda_svc._request_account_id.set(account)
            region_token = lambda_svc._request_region.set(region)
            try:
                started = self._start(mapping) or started
            finally:
                lambda_svc._request_account_id.reset(account_token)
                lambda_svc._request_region.reset(region_token)
        return started

    def _start(self, mapping: dict[str, Any]) -> bool:
        shard = self._shards.setdefault(mapping["UUID"], Shard())
        with self._lock:
            if shard.busy:
                return False
            batch = _read(mapping, shard)
            if batch is None:
                return False
            shard.busy = True
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run,
            args=(self._work, mapping, shard, batch),
            name=f"stream of {batch.table} to {mapping['FunctionName']}",
            daemon=True,
        ).start()
        return True

    def _work(self, mapping: dict[str, Any], shard: Shard, batch: _Batch | None) -> None:
        """Work on `batch` and on what has come meanwhile: the poller is there for a stream that rests."""
        try:
            while batch is not None:
                _invoke(mapping, shard, batch)
                batch = _read(mapping, shard) if _is_in_force(mapping) else None
        except Exception:
            logger.exception("stream to %s", mapping["FunctionName"])
        finally:
            shard.busy = False
            lambda_svc._esm_wake.set()  # something may have come since the last look


def _is_in_force(mapping: dict[str, Any]) -> bool:
    """Whether it is neither deleted nor replaced."""
    return any(found is mapping for *_, found in lambda_svc._iter_all_esms())


@dataclass(frozen=True)
class _Batch:
    table: str
    position: int
    records: list[dict[str, Any]]
    function: Any


def _read(mapping: dict[str, Any], shard: Shard) -> _Batch | None:
    """The mapping's next batch, when there is one and its window is over."""
    identity, now, table = mapping["UUID"], time.time(), _table_of(mapping)
    if not mapping.get("Enabled", True) or table is None:
        return None
    if (dynamodb._tables.get(table) or {}).get("LatestStreamArn") != mapping["EventSourceArn"]:
        return None
    function, _ = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
    if function is None or lambda_svc._esm_backoff_until.get(identity, 0) > now:
        return None
    oldest, end = dynamodb.stream_start_position(table), dynamodb.stream_end_position(table)
    from_start = mapping.get("StartingPosition") == "TRIM_HORIZON"
    with lambda_svc._dynamodb_stream_positions_lock:
        first = oldest if from_start else end
        position = max(lambda_svc._dynamodb_stream_positions.setdefault(identity, first), oldest)
    if position >= end:
        return None
    size = int(mapping.get("BatchSize", 100))
    records = dynamodb.stream_records_since(table, position, shard.limit or size)
    if not records or _gathers(mapping, shard, len(records) < size, now):
        return None
    return _Batch(table, position, records, function)


def _gathers(mapping: Mapping[str, Any], shard: Shard, has_room: bool, now: float) -> bool:
    """Whether the batching window is still open. A retry or half a batch waits for no more records."""
    window = float(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    if not window or not has_room or shard.limit or shard.failures:
        shard.window_began = None
        return False
    if shard.window_began is None:
        shard.window_began = now
        timer = threading.Timer(window, lambda_svc._esm_wake.set)
        timer.daemon = True
        timer.start()
    if now - shard.window_began < window - 0.005:  # the timer may come a clock tick early
        return True
    shard.window_began = None
    return False


def _invoke(mapping: dict[str, Any], shard: Shard, batch: _Batch) -> None:
    wanted = lambda_svc._apply_filter_criteria(batch.records, mapping)
    result: dict[str, Any] = {}
    if wanted:
        result = lambda_svc._execute_function(batch.function, {"Records": wanted})
    decision = decide(mapping, shard, batch.records, result) if wanted else _skip(batch)
    failed = result.get("error")
    mapping["LastProcessingResult"] = "PROBLEM: Function call failed" if failed else "OK"
    if failed:
        logger.warning("stream of %s to %s: %s", batch.table, mapping["FunctionName"], result.get("body"))
    if decision.step is Step.BISECT:
        shard.limit = len(batch.records) // 2
        return
    if decision.step is Step.RETRY:
        shard.failures += 1
        shard.limit = shard.limit or len(batch.records)
        lambda_svc._esm_backoff_until[mapping["UUID"]] = time.time() + RETRY_WAIT_S
        timer = threading.Timer(RETRY_WAIT_S, lambda_svc._esm_wake.set)
        timer.daemon = True
        timer.start()
        return
    if decision.step is Step.GIVE_UP:
        lambda_svc._send_ddb_stream_failure_record(
            mapping, batch.function, wanted, mapping["EventSourceArn"], result, decision.condition
        )
    shard.clear()
    with lambda_svc._dynamodb_stream_positions_lock:
        lambda_svc._dynamodb_stream_positions[mapping["UUID"]] = batch.position + decision.count


def _skip(batch: _Batch) -> Decision:
    return Decision(Step.ADVANCE, len(batch.records))


def _oldest(records: Sequence[Mapping[str, Any]]) -> float:
    now = time.time()
    return min(float(record["dynamodb"].get("ApproximateCreationDateTime", now)) for record in records)
