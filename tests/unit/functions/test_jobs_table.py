"""The Jobs table's operations on moto's DynamoDB: what each may change, and what stops it."""

from __future__ import annotations

from typing import Any

import pytest

from spaceport.errors import ErrorText
from spaceport.job import JobRecord, Outputs, PipelineStep, StageRecord, empty_stages, now_iso
from spaceport.jobs import item_of
from spaceport.stages import ACTIVE, LIVE, TERMINAL, Status

ARN = "arn:aws:states:eu-west-1:123456789012:execution:pipeline:job-1-1"
WHY = ErrorText("stopped", "The job was stopped.")
NOTHING: dict[str, Any] = {"costs": {}, "outputs": None}  # what a job that had not begun has left


@pytest.fixture
def put(aws):
    """`put(status=...)`: a row with these fields in the table."""

    def put(**fields: Any) -> JobRecord:
        now = now_iso()
        row = JobRecord(
            **{"job_id": "job-1", "created_at": now, "updated_at": now, "stages": empty_stages(), **fields}
        )
        assert aws.jobs.create(row)
        return row

    return put


def status_of(aws, job_id: str = "job-1") -> Status:
    row = aws.jobs.get(job_id)
    assert row is not None
    return row.status


# ---- a stop ----------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_only_what_runs_can_be_stopping(aws, put, status):
    put(status=status, execution_arn=ARN)
    stoppable = status in {Status.RUNNING, Status.WAITING_CAPACITY}
    assert aws.jobs.request_stop("job-1", True, now_iso()) is stoppable
    assert status_of(aws) is (Status.STOPPING if stoppable else status)
    # And a second request changes nothing, not even what becomes of the artifacts
    assert not aws.jobs.request_stop("job-1", False, now_iso())
    row = aws.jobs.get("job-1")
    assert row is not None
    assert (row.discard_artifacts, row.version) == (stoppable, 2 if stoppable else 1)


@pytest.mark.parametrize("status", list(Status))
def test_only_what_waits_in_the_queue_is_stopped_at_once(aws, put, status):
    put(status=status)
    assert aws.jobs.stop_queued("job-1", False, WHY, now_iso()) is (status is Status.QUEUED)
    assert status_of(aws) is (Status.STOPPED if status is Status.QUEUED else status)


def test_a_job_that_is_stopping_takes_no_result_no_failure_and_no_progress(aws, put):
    row = put(status=Status.STOPPING, execution_arn=ARN)
    assert not aws.jobs.complete("job-1", ARN, Outputs(), {}, now_iso(), costs={})
    assert not aws.jobs.fail(row, ARN, WHY, now_iso(), **NOTHING)
    assert aws.jobs.settle(row, ARN, Status.STOPPED, WHY, now_iso(), **NOTHING)
    assert status_of(aws) is Status.STOPPED


# ---- whose row it is ----------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_an_execution_writes_its_own_row_only_and_only_while_it_lives(aws, put, status):
    row = put(status=status, execution_arn=ARN)
    # Given another execution, then it changes nothing
    other = ARN + "0"
    assert not aws.jobs.complete("job-1", other, Outputs(), {}, now_iso(), costs={})
    assert not aws.jobs.fail(row, other, WHY, now_iso(), **NOTHING)
    assert not aws.jobs.settle(row, other, Status.FAILED, WHY, now_iso(), **NOTHING)
    assert status_of(aws) is status
    # And its own can end it
    assert aws.jobs.settle(row, ARN, Status.FAILED, WHY, now_iso(), **NOTHING) is (status in LIVE)


@pytest.mark.parametrize("status", list(Status))
def test_a_row_that_no_execution_claimed_can_be_ended_but_not_completed(aws, put, status):
    row = put(status=status)
    assert not aws.jobs.complete("job-1", ARN, Outputs(), {}, now_iso(), costs={})
    assert aws.jobs.fail(row, ARN, WHY, now_iso(), **NOTHING) is (status in ACTIVE)


def test_a_run_that_waits_is_not_touched_by_what_saw_the_run_before_it_wait(aws, put):
    # Given a job that was stopped in the queue and started again, after its row had been read
    seen = put(status=Status.QUEUED)
    assert aws.jobs.stop_queued("job-1", False, WHY, now_iso())
    stopped = aws.jobs.get("job-1")
    assert aws.jobs.reopen(stopped, stopped.reopened(PipelineStep.SFM, {}, now_iso()))
    # When the first run's execution comes late, or its end
    assert not aws.jobs.begin(seen, ARN, now_iso())
    assert not aws.jobs.fail(seen, ARN, WHY, now_iso(), **NOTHING)
    assert not aws.jobs.settle(seen, ARN, Status.FAILED, WHY, now_iso(), **NOTHING)
    # Then the second run waits on
    row = aws.jobs.get("job-1")
    assert (row.status, row.run, row.execution_arn) == (Status.QUEUED, 2, None)


# ---- a new run ----------------------------------------


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_ended_job_is_opened_again_once(aws, put, status):
    ended = put(status=status, execution_arn=ARN, error={"code": "x", "message": "y"})
    again = ended.reopened(PipelineStep.SFM, {"preset": "preview"}, now_iso())
    assert aws.jobs.reopen(ended, again)
    row = aws.jobs.get("job-1")
    assert row is not None
    assert (row.status, row.run, row.execution_arn, row.error) == (Status.QUEUED, 2, None, None)
    assert row.version == ended.version + 1
    # And whoever saw the same end comes too late
    assert not aws.jobs.reopen(ended, again)


def test_a_later_begin_keeps_what_the_earlier_stages_left(aws, put):
    sfm = StageRecord(started="2026-01-01T00:00:00.000Z", ended="2026-01-01T00:00:30.000Z", progress=1)
    stages = {**empty_stages(), "sfm": sfm, "3dgs": StageRecord(started="2026-01-01T00:00:31.000Z")}
    ended = put(status=Status.FAILED, stages=stages)
    assert ended.next_step is PipelineStep.TRAINING
    again = ended.reopened(ended.next_step, {}, now_iso())
    assert (again.stages["sfm"], again.stages["3dgs"]) == (sfm, StageRecord())
    assert again.request["pipelineStep"] == "3dgs"


def test_what_a_stage_does_not_have_yet_is_not_in_the_row(put):
    # So that the state machine's if_not_exists(ended) writes the end of a stage once, and never again.
    stages = item_of(put(stages={"sfm": StageRecord(started="2026-01-01T00:00:00.000Z")}))["stages"]
    assert set(stages["sfm"]) == {"started", "progress", "spot", "tries"}


# ---- discarding ----------------------------------------


def test_a_stopped_job_awaits_the_deletion_until_it_is_done_for_good(aws, put):
    put(status=Status.STOPPED, discard_artifacts=True)
    put(job_id="kept", status=Status.STOPPED)
    put(job_id="runs", status=Status.STOPPING, discard_artifacts=True)
    assert aws.jobs.awaiting_discard() == ["job-1"]
    # When it is done
    assert aws.jobs.artifacts_discarded("job-1", now_iso())
    # Then it is not asked for again, and a retry has to begin anew
    assert aws.jobs.awaiting_discard() == []
    row = aws.jobs.get("job-1")
    assert row is not None
    assert not row.awaits_discard
    assert row.next_step is PipelineStep.SFM
    # And of a job that was started again meanwhile, nothing is noted
    assert not aws.jobs.artifacts_discarded("runs", now_iso())


@pytest.mark.parametrize("status", list(Status))
def test_only_what_was_stopped_can_be_discarded(aws, put, status):
    put(status=status, outputs=Outputs(points="s3://data/points.ply"))
    stops = status in {Status.STOPPING, Status.STOPPED}
    assert aws.jobs.discard_artifacts("job-1", now_iso()) is stops
    assert (aws.jobs.get("job-1").outputs is None) is stops  # it names nothing that is to go
    assert aws.jobs.awaiting_discard() == (["job-1"] if status is Status.STOPPED else [])


# ---- lists ----------------------------------------


def times(count: int) -> list[str]:
    return [f"2026-01-01T00:00:{second:02}.000Z" for second in range(count)]


def test_pages_go_from_the_newest_job_to_the_oldest(aws, put):
    for number, created in enumerate(times(5)):
        put(job_id=f"job-{number}", created_at=created, owner="ann" if number % 2 else "ben")
    newest = aws.jobs.page(None, 2)
    assert [row.job_id for row in newest] == ["job-4", "job-3"]
    rest = aws.jobs.page(None, 10, before=newest[-1].created_at)
    assert [row.job_id for row in rest] == ["job-2", "job-1", "job-0"]
    assert [row.job_id for row in aws.jobs.page("ann", 10)] == ["job-3", "job-1"]
    assert aws.jobs.page("cid", 10) == []


def test_jobs_of_one_millisecond_are_on_one_page(aws, put):
    # Given jobs that were made at once, between an older and a newer one
    older, same, newer = times(3)
    for job_id, created in {"a": older, "b": same, "c": same, "d": same, "e": newer}.items():
        put(job_id=job_id, created_at=created)
    # When pages end in the middle of them, then none is lost, and none comes twice
    pages, before = [], None
    while rows := aws.jobs.page(None, 2, before):
        pages.append(sorted(row.job_id for row in rows))
        before = rows[-1].created_at
    assert pages == [["b", "c", "d", "e"], ["a"]]


def test_jobs_of_one_status_are_found_oldest_first(aws, put):
    for number, created in enumerate(reversed(times(3))):
        put(job_id=f"job-{number}", created_at=created, status=Status.RUNNING)
    put(job_id="ended", status=Status.FAILED)
    assert aws.jobs.with_status(Status.RUNNING) == ["job-2", "job-1", "job-0"]
