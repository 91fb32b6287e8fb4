"""What is due of a job's remains, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spaceport.job import JobRecord, PipelineStep, StageRecord, now_iso
from spaceport.retention import Due, due
from spaceport.stages import LIVE, TERMINAL, Status

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def row(days: float, **fields: object) -> JobRecord:
    then = now_iso(NOW - timedelta(days=days))
    return JobRecord.model_validate({"job_id": "job-1", "created_at": then, "updated_at": then, **fields})


@pytest.mark.parametrize(
    ("days", "kept", "expected"),
    [
        (13.9, None, Due.NOTHING),
        (14.1, None, Due.INTERMEDIATES),
        (4000, None, Due.INTERMEDIATES),
        (29.9, 30, Due.INTERMEDIATES),
        (30.1, 30, Due.DELETION),
        (2, 1, Due.DELETION),
    ],
)
def test_an_ended_job_is_kept_its_time(days, kept, expected):
    results_kept = timedelta(days=kept) if kept else None
    assert due(row(days, status=Status.COMPLETED), NOW, results_kept) is expected


def test_what_was_begun_is_due_until_it_is_done():
    assert due(row(20, status=Status.COMPLETED, discard_intermediates=True), NOW, None) is Due.INTERMEDIATES


def test_what_is_done_is_not_due_again():
    assert due(row(20, status=Status.COMPLETED, intermediates_discarded=True), NOW, None) is Due.NOTHING
    assert due(row(20, status=Status.REJECTED), NOW, None) is Due.NOTHING  # it never had any


@pytest.mark.parametrize("status", LIVE)
def test_what_runs_is_left_alone_however_old(status):
    assert due(row(400, status=status), NOW, timedelta(days=1)) is Due.NOTHING


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_erasure_that_did_not_come_through_is_due_after_hours(status):
    for hours, expected in ((1, Due.NOTHING), (3, Due.ERASURE)):
        deleted = now_iso(NOW - timedelta(hours=hours))
        assert due(row(1, status=status, deleted_at=deleted), NOW, None) is expected


def test_a_retry_begins_anew_once_the_intermediates_are_gone():
    done = {"sfm": StageRecord(started=now_iso(NOW), ended=now_iso(NOW))}
    for gone, step in ((False, PipelineStep.TRAINING), (True, PipelineStep.SFM)):
        failed = row(20, status=Status.FAILED, stages=done, discard_intermediates=gone)
        assert failed.next_step is step
    again = failed.reopened(PipelineStep.SFM, {}, now_iso(NOW))
    assert not again.discard_intermediates
    assert not again.intermediates_discarded
