"""What an event source mapping does after its function answered."""

from __future__ import annotations

import time
from typing import Any

import pytest

from spaceport_local.patches.stream_mappings import Decision, Shard, Step, decide

PARTIAL = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}
ERROR = {"error": True, "body": {"errorType": "ValueError"}}


def records(*numbers: int, age_s: float = 0.0) -> list[dict[str, Any]]:
    created = time.time() - age_s
    return [{"dynamodb": {"SequenceNumber": str(n), "ApproximateCreationDateTime": created}} for n in numbers]


def failures(*numbers: object) -> dict[str, Any]:
    return {"body": {"batchItemFailures": [{"itemIdentifier": str(n)} for n in numbers]}}


@pytest.mark.parametrize(
    ("settings", "shard", "result", "expected"),
    [
        # all is well
        ({}, Shard(), {"body": None}, Decision(Step.ADVANCE, 4)),
        (PARTIAL, Shard(), failures(), Decision(Step.ADVANCE, 4)),
        (PARTIAL, Shard(), {"body": '{"batchItemFailures": []}'}, Decision(Step.ADVANCE, 4)),
        # failures count only where the mapping asks for them
        ({}, Shard(), failures(3), Decision(Step.ADVANCE, 4)),
        # what is before the first failure is done
        (PARTIAL, Shard(), failures(4, 3), Decision(Step.ADVANCE, 2)),
        (PARTIAL, Shard(), failures(1), Decision(Step.RETRY)),
        # an identifier of no record fails the batch
        (PARTIAL, Shard(), failures("nonsense", 4), Decision(Step.RETRY)),
        # without a limit it is tried for ever
        ({}, Shard(failures=99), ERROR, Decision(Step.RETRY)),
        ({"MaximumRetryAttempts": -1}, Shard(failures=99), ERROR, Decision(Step.RETRY)),
        ({"MaximumRetryAttempts": 2}, Shard(failures=1), ERROR, Decision(Step.RETRY)),
        (
            {"MaximumRetryAttempts": 2},
            Shard(failures=2),
            ERROR,
            Decision(Step.GIVE_UP, 4, "RetryAttemptsExhausted"),
        ),
        (
            {"MaximumRetryAttempts": 0},
            Shard(),
            ERROR,
            Decision(Step.GIVE_UP, 4, "RetryAttemptsExhausted"),
        ),
        # a batch is halved before it is given up
        (
            {"MaximumRetryAttempts": 0, "BisectBatchOnFunctionError": True},
            Shard(),
            ERROR,
            Decision(Step.BISECT),
        ),
        ({"MaximumRecordAgeInSeconds": 60}, Shard(), ERROR, Decision(Step.RETRY)),
    ],
)
def test_decision(settings: dict[str, Any], shard: Shard, result: dict[str, Any], expected: Decision) -> None:
    assert decide(settings, shard, records(1, 2, 3, 4), result) == expected


def test_old_records_are_given_up() -> None:
    decision = decide({"MaximumRecordAgeInSeconds": 60}, Shard(), records(1, age_s=61), ERROR)
    assert decision == Decision(Step.GIVE_UP, 1, "MaxRecordAgeExceeded")


def test_single_record_is_not_halved() -> None:
    assert decide({"BisectBatchOnFunctionError": True}, Shard(), records(1), ERROR).step is Step.RETRY
