"""DispatchJobs on moto's tables and Step Functions: what starts, what waits, and what a crash leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from spaceport.dispatching import BusyError, Dispatching
from spaceport.ending import STOPPED
from spaceport.executions import Executions
from spaceport.job import JobRecord, Kind, Outputs, PipelineStep, empty_stages, execution_name, now_iso
from spaceport.queue import RunningLimits, Slot, Slots
from spaceport.stages import Status

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ZIP = "s3://uploads-bucket/a.zip"


def ago(**time: float) -> str:
    return now_iso(NOW - timedelta(**time))


@pytest.fixture
def queued(aws):
    """`queued("alice", 3)`: rows of jobs alice-0 … that wait, the first one longest."""

    def put(owner: str, count: int = 1, **fields: Any) -> list[JobRecord]:
        rows = [
            JobRecord(
                **{
                    "job_id": f"{owner}-{i}", "owner": owner, "source": ZIP, "stages": empty_stages(),
                    "created_at": ago(hours=1, seconds=-i), "updated_at": ago(hours=1), **fields,
                }
            )
            for i in range(count)
        ]  # fmt: skip
        for row in rows:
            assert aws.jobs.create(row)
        return rows

    return put


@pytest.fixture
def dispatching(aws):
    executions = Executions(boto3.client("stepfunctions"), aws.state_machine_arn)
    return Dispatching(aws.jobs, aws.slots, executions, RunningLimits(4, 2))


def started(aws) -> list[str]:
    """The names of all executions there have been."""
    listed = boto3.client("stepfunctions").list_executions(stateMachineArn=aws.state_machine_arn)
    return sorted(execution["name"] for execution in listed["executions"])


def run(aws, *job_ids: str) -> None:
    """Do what the jobs' executions do first."""
    for job_id in job_ids:
        row = aws.jobs.get(job_id)
        assert aws.jobs.begin(row, f"arn:{execution_name(job_id, row.run)}", now_iso(NOW))


def end(aws, job_id: str) -> None:
    row = aws.jobs.get(job_id)
    assert aws.jobs.settle(
        row, row.execution_arn or "", Status.FAILED, STOPPED, now_iso(NOW), costs={}, outputs=None
    )


def places(aws, *job_ids: str) -> list[int | None]:
    return [aws.jobs.get(job_id).queue_position for job_id in job_ids]


# ---- limits ----------------------------------------


def test_as_many_start_as_may_and_the_others_are_told_their_place(aws, queued, dispatching):
    queued("alice", 4)
    queued("bob", 3)
    # When
    done = dispatching.dispatch(now_iso(NOW))
    # Then each has two
    assert started(aws) == ["alice-0-1", "alice-1-1", "bob-0-1", "bob-1-1"]
    assert (done.running, done.waiting) == (4, 3)
    assert places(aws, "alice-2", "bob-2", "alice-3") == [1, 2, 3]
    assert aws.jobs.get("alice-2").status_view()["queuePosition"] == 1
    # And once more changes nothing
    versions = [aws.jobs.get(job_id).version for job_id in ("alice-2", "bob-2")]
    assert dispatching.dispatch(now_iso(NOW)).taken == []
    assert [aws.jobs.get(job_id).version for job_id in ("alice-2", "bob-2")] == versions
    assert len(started(aws)) == 4


def test_an_end_lets_the_next_one_start_and_the_others_move_up(aws, queued, dispatching):
    queued("alice", 4)
    dispatching.dispatch(now_iso(NOW))
    run(aws, "alice-0", "alice-1")
    assert places(aws, "alice-2", "alice-3") == [1, 2]
    # When
    end(aws, "alice-0")
    dispatching.dispatch(now_iso(NOW), "alice-0")
    # Then
    assert started(aws) == ["alice-0-1", "alice-1-1", "alice-2-1"]
    assert places(aws, "alice-3") == [1]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.WAITING_CAPACITY, Status.STOPPING])
def test_an_execution_that_was_started_by_hand_holds_a_slot_too(aws, queued, dispatching, status):
    queued("hand", 3, status=status, execution_arn="arn:by-hand")
    queued("alice", 2)
    dispatching.dispatch(now_iso(NOW))
    assert started(aws) == ["alice-0-1"]
    assert set(aws.slots.read().held) == {"hand-0", "hand-1", "hand-2", "alice-0"}


def test_a_batch_is_no_job(aws, queued, dispatching):
    queued("alice", 1, kind=Kind.BATCH, status=Status.RUNNING)
    queued("bob", 1, kind=Kind.BATCH)
    dispatching.dispatch(now_iso(NOW), "bob-0")
    assert (started(aws), aws.slots.read().held) == ([], {})


def test_a_retry_takes_its_turn_and_is_another_run(aws, queued, dispatching):
    queued("alice", 1)
    dispatching.dispatch(now_iso(NOW))
    run(aws, "alice-0")
    end(aws, "alice-0")
    # When it is retried before anybody has seen that it ended
    ended = aws.jobs.get("alice-0")
    assert aws.jobs.reopen(ended, ended.reopened(PipelineStep.SFM, {}, now_iso(NOW)))
    dispatching.dispatch(now_iso(NOW), "alice-0")
    # Then
    assert started(aws) == ["alice-0-1", "alice-0-2"]
    assert aws.slots.read().held["alice-0"].run == 2


def test_beyond_the_first_hundred_nobody_is_told_a_place(aws, queued, dispatching):
    queued("alice", 104)
    dispatching.dispatch(now_iso(NOW))
    assert places(aws, "alice-2", "alice-101", "alice-102", "alice-103") == [1, 100, None, None]


def test_at_an_event_only_the_next_and_the_new_are_told_their_place(aws, queued, dispatching):
    # Given a queue that knows its places
    queued("alice", 60)
    dispatching.dispatch(now_iso(NOW))
    run(aws, "alice-0", "alice-1")
    versions = {job_id: aws.jobs.get(job_id).version for job_id in ("alice-30", "alice-59")}
    # When one ends, and another comes
    end(aws, "alice-0")
    queued("bob", 1, created_at=ago(seconds=1), executionArn=None)
    queued("carl", 1, created_at=ago(seconds=1), status=Status.RUNNING, execution_arn="arn:by-hand")
    queued("dora", 2, created_at=ago(seconds=1), status=Status.RUNNING, execution_arn="arn:by-hand")
    dispatching.dispatch(now_iso(NOW), "alice-0")
    # Then those behind have not been written for that
    assert versions == {job_id: aws.jobs.get(job_id).version for job_id in versions}
    assert places(aws, "bob-0", "alice-2") == [1, 2]
    # But they are in the minute's round
    dispatching.dispatch(now_iso(NOW))
    assert places(aws, "alice-30", "alice-59") == [30, 59]


def test_a_round_that_is_late_does_not_tell_the_place_of_before(aws, queued, dispatching):
    queued("alice", 5)
    dispatching.dispatch(now_iso(NOW))
    (second,) = [job for job in aws.jobs.waiting() if job.job_id == "alice-3"]
    assert not aws.jobs.place(second, 9, ago(seconds=1))
    assert places(aws, "alice-3") == [2]


# ---- what goes wrong ----------------------------------------


def test_a_job_that_was_stopped_in_the_queue_is_not_started_nor_in_the_way(aws, queued, dispatching):
    queued("alice", 3)
    # Given the index says still that the first one waits
    waiting = aws.jobs.waiting()
    assert aws.jobs.stop_queued("alice-0", False, STOPPED, now_iso(NOW))
    aws.jobs.waiting = lambda: list(waiting)
    # When
    dispatching.dispatch(now_iso(NOW))
    # Then
    assert started(aws) == ["alice-1-1", "alice-2-1"]
    assert set(aws.slots.read().held) == {"alice-1", "alice-2"}


def test_a_job_that_the_index_does_not_know_yet_starts_when_it_is_heard_of(aws, queued, dispatching):
    queued("alice", 1)
    aws.jobs.waiting = list
    assert dispatching.dispatch(now_iso(NOW)).taken == []
    dispatching.dispatch(now_iso(NOW), "alice-0")
    assert started(aws) == ["alice-0-1"]


def test_of_two_dispatchers_at_once_the_second_looks_again(aws, queued, dispatching, monkeypatch):
    queued("alice", 3)
    write, others = aws.slots.write, []

    def write_after_another(slots: Slots) -> bool:
        if not others:
            others.append(None)
            others.append(dispatching.dispatch(now_iso(NOW)))
        return write(slots)

    monkeypatch.setattr(aws.slots, "write", write_after_another)
    # When
    done = dispatching.dispatch(now_iso(NOW))
    # Then one of them has taken both slots
    assert [job.job_id for job in others[1].taken] == ["alice-0", "alice-1"]
    assert done.taken == []
    assert started(aws) == ["alice-0-1", "alice-1-1"]


def test_a_dispatcher_that_always_comes_too_late_says_so(aws, queued, dispatching, monkeypatch):
    queued("alice", 1)
    monkeypatch.setattr(aws.slots, "write", lambda slots: False)
    with pytest.raises(BusyError):
        dispatching.dispatch(now_iso(NOW))
    assert started(aws) == []


def test_what_a_crash_left_with_a_slot_but_not_started_is_started(aws, queued, dispatching):
    # Given a dispatcher that died when it had taken the slot
    queued("alice", 3)
    assert aws.slots.write(Slots({"alice-0": Slot("alice", 1, ago(minutes=1))}))
    # When
    dispatching.dispatch(now_iso(NOW))
    # Then it is started, and counts
    assert started(aws) == ["alice-0-1", "alice-1-1"]


def test_slots_that_were_lost_are_made_again_of_the_rows(aws, queued, dispatching):
    queued("alice", 4)
    dispatching.dispatch(now_iso(NOW))
    run(aws, "alice-0", "alice-1")
    boto3.resource("dynamodb").Table("queue").delete_item(Key={"name": "slots"})
    assert dispatching.dispatch(now_iso(NOW)).taken == []
    assert set(aws.slots.read().held) == {"alice-0", "alice-1"}


def test_a_start_that_is_refused_keeps_its_slot_and_holds_up_nobody(aws, queued, dispatching, monkeypatch):
    queued("alice", 1)
    queued("bob", 1)
    start, refusing = Executions.start, [True]

    def refuse_alice(self: Executions, row: JobRecord) -> bool:
        if row.owner == "alice" and refusing:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "StartExecution")
        return start(self, row)

    monkeypatch.setattr(Executions, "start", refuse_alice)
    # When
    with pytest.raises(ExceptionGroup, match="could not be started"):
        dispatching.dispatch(now_iso(NOW))
    # Then the other one runs, and the next round starts the first
    assert started(aws) == ["bob-0-1"]
    refusing.clear()
    dispatching.dispatch(now_iso(NOW))
    assert started(aws) == ["alice-0-1", "bob-0-1"]


def test_a_row_that_can_never_start_ends_and_gives_its_slot_back(aws, queued, dispatching):
    queued("alice", 1, source="nowhere")
    dispatching.dispatch(now_iso(NOW))
    row = aws.jobs.get("alice-0")
    assert (row.status, row.error.code) == (Status.FAILED, "fault")
    assert dispatching.dispatch(now_iso(NOW)).running == 0


def test_a_new_run_that_can_never_start_leaves_the_job_its_results_and_is_counted(
    aws, queued, dispatching, capsys
):
    made = Outputs(sog="s3://data-bucket/jobs/alice-0/compressed/model.sog")
    queued("alice", 1, source="nowhere", outputs=made, earlier_results=True)
    dispatching.dispatch(now_iso(NOW))
    row = aws.jobs.get("alice-0")
    assert (row.status, row.outputs, row.earlier_results) == (Status.FAILED, made, True)
    said = capsys.readouterr().out
    assert all(f'"{name}":[1.0]' in said for name in ("JobsFailed", "JobFaults"))


# ---- the handler ----------------------------------------


def test_the_handler_takes_the_event_and_the_schedule(aws, queued, load, context):
    handler = load("dispatch_jobs", MAX_RUNNING_JOBS="1").handler
    queued("alice", 2)
    assert handler({"detail": {"jobId": "alice-1"}}, context)["started"] == ["alice-0"]
    assert handler({"detail": {}}, context) == {"started": [], "running": 1, "waiting": 1}
