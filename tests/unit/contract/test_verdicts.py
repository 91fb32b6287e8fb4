"""What is done about a failed job of a stage: which machine, how long a wait, and when it is given up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from spaceport.attempts import TRIES_OF_AN_ENTRY, Attempt, Machine, Remedy, TrainingMachine
from spaceport.diagnosis import Reason, Work, work_of
from spaceport.job import (
    JOB_ID_LENGTH,
    MAX_RUNS,
    PipelineStep,
    StageRecord,
    Try,
    now_iso,
    parse_sagemaker_name,
    task_name,
)
from spaceport.stages import TRAINING
from spaceport.verdicts import AWS_FAULTS, JITTER, LONGEST_WAIT, Failure, Waiting, verdict

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WAITING = Waiting(first=timedelta(minutes=10), patience=timedelta(hours=12))
SCARCE = [Reason.NO_CAPACITY, Reason.QUOTA, Reason.THROTTLED]


def first(types: str = "ml.a,ml.b") -> Attempt:
    one = Machine.first_of("ml.other")
    return Attempt(sfm=one, training=TrainingMachine.first_of(types), compression=one)


def judge(
    reason: Reason, before: Attempt, now: datetime = NOW, job_id: str = "job-1", waiting: Waiting = WAITING
) -> Attempt:
    return verdict(Failure(reason, PipelineStep.TRAINING, job_id, now), before, waiting)


def test_without_capacity_the_next_type_is_tried_at_once():
    after = judge(Reason.NO_CAPACITY, first())
    assert (after.remedy, after.seconds, after.next_try_at) == (Remedy.WAIT, 0, now_iso(NOW))
    assert (after.detail, after.training.instance_type) == ("No free ml.a", "ml.b")
    # And the other stages' machines are as they were
    assert (after.sfm, after.compression) == (first().sfm, first().compression)


def test_without_any_machine_the_job_waits_and_begins_with_the_first_type_again():
    after = judge(Reason.QUOTA, judge(Reason.NO_CAPACITY, first()))
    assert (after.remedy, after.training.instance_type, after.training.waits) == (Remedy.WAIT, "ml.a", 1)
    assert after.next_try_at == f"{(NOW + timedelta(seconds=after.seconds)).isoformat()[:-6]}.000Z"
    assert after.detail == "No free ml.a or ml.b"


def test_a_busy_api_is_waited_for_whatever_other_types_there_are():
    assert judge(Reason.THROTTLED, first()).remedy is Remedy.WAIT


@pytest.mark.parametrize("reason", SCARCE)
def test_waits_double_up_to_an_hour_until_patience_ends(reason):
    # Given a job whose only type stays scarce
    now, waits, attempt = NOW, [], judge(reason, first("ml.a"))
    while attempt.remedy is Remedy.WAIT:
        waits.append(attempt.seconds)
        now += timedelta(seconds=attempt.seconds)
        attempt = judge(reason, attempt, now)
    # Then each wait is twice the one before, give or take, and none much longer than the longest
    for number, seconds in enumerate(waits[:-1]):
        expected = min(WAITING.first * 2**number, LONGEST_WAIT).total_seconds()
        assert abs(seconds - expected) <= JITTER * expected + 1
    # And the job fails when its patience is over, not before
    assert attempt.remedy is Remedy.FAIL
    assert now == NOW + WAITING.patience


def test_jobs_that_found_none_together_come_back_apart_and_each_in_its_own_time():
    seconds = [judge(Reason.QUOTA, first("ml.a"), job_id=f"job-{i}").seconds for i in range(100)]
    assert len(set(seconds)) > 80
    gaps = [after - before for before, after in pairwise(sorted(seconds))]
    assert max(gaps) < 0.1 * max(seconds)
    assert judge(Reason.QUOTA, first("ml.a"), job_id="job-7").seconds == seconds[7]


def test_a_type_that_the_account_may_not_have_is_never_tried_again():
    after = judge(Reason.NO_CAPACITY, judge(Reason.NO_QUOTA, first()))
    assert (after.remedy, after.training.instance_type) == (Remedy.WAIT, "ml.b")
    assert judge(Reason.NO_QUOTA, after).remedy is Remedy.FAIL


def test_without_a_quota_of_any_type_nothing_is_waited_for():
    assert judge(Reason.NO_QUOTA, first("ml.a")).remedy is Remedy.FAIL


@pytest.mark.parametrize("reason", [Reason.OVER_WAIT, Reason.NO_CAPACITY, Reason.QUOTA, Reason.NO_QUOTA])
def test_without_a_spot_instance_training_runs_on_demand(reason):
    # Given a job that trains on spot instances, of which there are none
    spot = first().model_copy(update={"training": first().training.on_spot()})
    after = judge(reason, spot)
    # Then the same type is asked for on demand at once, without a limit of its wait, which SageMaker refuses
    assert (after.remedy, after.seconds, after.training.instance_type) == (Remedy.WAIT, 0, "ml.a")
    assert not after.training.spot
    assert "MaxWaitTimeInSeconds" not in after.training.stopping_condition
    assert after.training.first_attempt == TRIES_OF_AN_ENTRY
    # And from there on as ever
    assert judge(Reason.NO_CAPACITY, after).training.instance_type == "ml.b"


def test_a_spot_instance_is_asked_for_again_after_a_fault_of_awss():
    spot = first().model_copy(update={"training": first().training.on_spot()})
    assert judge(Reason.AWS_FAULT, spot).training.spot


def test_a_fault_of_awss_is_tried_again_twice():
    remedies, attempt = [], first()
    for _ in range(AWS_FAULTS + 1):
        attempt = judge(Reason.AWS_FAULT, attempt)
        remedies.append(attempt.remedy)
    assert remedies == [Remedy.AGAIN] * AWS_FAULTS + [Remedy.FAIL]


def test_patience_begins_anew_once_there_was_a_machine():
    # Given a job that got its machine late, which AWS has failed hours after its patience would have ended
    waited = judge(Reason.NO_CAPACITY, first("ml.a"))
    later = NOW + WAITING.patience + timedelta(hours=1)
    broken = judge(Reason.AWS_FAULT, waited, later)
    assert (broken.remedy, broken.training.waits, broken.training.short_since) == (Remedy.AGAIN, 0, "")
    # When it finds none, Then it waits as it did the first time
    again = judge(Reason.NO_CAPACITY, broken, later)
    assert (again.remedy, again.seconds) == (Remedy.WAIT, waited.seconds)


@pytest.mark.parametrize("reason", sorted({*Reason} - {*SCARCE, Reason.NO_QUOTA, Reason.AWS_FAULT}, key=str))
def test_all_else_is_final(reason):
    assert judge(reason, first()).remedy is Remedy.FAIL


def test_no_two_entries_share_a_name_and_the_longest_name_fits():
    attempt, firsts = first("ml.a"), [0]
    impatient = Waiting(first=timedelta(minutes=1), patience=timedelta(hours=24))
    now = NOW
    while (attempt := judge(Reason.QUOTA, attempt, now, waiting=impatient)).remedy is Remedy.WAIT:
        firsts.append(attempt.training.first_attempt)
        now += timedelta(seconds=attempt.seconds)
    assert all(after - before == TRIES_OF_AN_ENTRY for before, after in pairwise(firsts))
    name = f"{task_name('j' * JOB_ID_LENGTH, TRAINING.name, MAX_RUNS)}-{firsts[-1] + TRIES_OF_AN_ENTRY}"
    assert len(name) <= 63  # by SageMaker's API
    assert parse_sagemaker_name(name) is not None


@pytest.mark.parametrize(("listed", "names"), [("a", "a"), ("a,", "a"), (" a , b,,a", "a b")])
def test_a_list_of_types_takes_what_a_template_makes_of_an_empty_one(listed, names):
    machine = Machine.first_of(listed)
    assert (machine.instance_type, machine.instance_types) == ("a", tuple(names.split()))


def test_a_list_without_a_type_is_refused():
    with pytest.raises(ValueError, match="instance type"):
        Machine.first_of(" ,")


# ---- what has run ----------------------------------------

HALF_AN_HOUR = Work(1800.0, None)


def after_work(reason: Reason, before: Attempt, work: Work | None = HALF_AN_HOUR) -> Attempt:
    return verdict(Failure(reason, PipelineStep.TRAINING, "job-1", NOW, work), before, WAITING)


def test_every_try_that_had_a_machine_is_told_to_the_row_and_no_other():
    # Given a spot instance that was taken away, a machine that broke, and then none
    spot = first("ml.a")
    spot = spot.model_copy(update={"training": spot.training.on_spot()})
    taken_away = after_work(Reason.OVER_WAIT, spot, Work(3600.0, 900.0))
    broken = after_work(Reason.AWS_FAULT, taken_away)
    scarce = after_work(Reason.NO_CAPACITY, broken, None)
    # Then the first is in the row while the second runs, which goes on in the same time once it is repeated
    one = Try(instance="ml.a", spot=True, seconds=3600.0, billable_seconds=900.0)
    assert StageRecord(tries=taken_away.tries).tries == (one,)
    assert (taken_away.remedy, broken.remedy, broken.training.repeats) == (Remedy.WAIT, Remedy.AGAIN, 1)
    # And both are, once it waits: then its time begins anew
    assert StageRecord(tries=scarce.tries).tries == (one, Try(instance="ml.a", seconds=1800.0))
    assert (scarce.remedy, scarce.training.repeats) == (Remedy.WAIT, 0)
    # And another stage's tries are its own
    assert scarce.sfm.tries == ()


def test_the_tries_of_one_stage_are_not_those_of_the_next():
    in_training = after_work(Reason.AWS_FAULT, first())
    failed = Failure(Reason.NO_CAPACITY, PipelineStep.COMPRESSION, "job-1", NOW)
    assert verdict(failed, in_training, WAITING).tries == "[]"


@pytest.mark.parametrize(
    ("described", "work"),
    [
        ({"TrainingStartTime": 1763900000000, "TrainingEndTime": 1763900100000}, Work(100.0, None)),
        (
            {"TrainingStartTime": 1.7639e9, "TrainingEndTime": 1.7639e9 + 5, "BillableTimeInSeconds": 2},
            Work(5.0, 2.0),
        ),
        ({"ProcessingStartTime": NOW.timestamp() - 60}, Work(60.0, None)),  # its end is not told
        ({"TrainingJobStatus": "Failed", "CreationTime": 1763900000000}, None),
        ({"TrainingStartTime": None}, None),
    ],
)
def test_what_a_failed_job_did_is_what_its_description_tells(described, work):
    assert work_of(json.dumps(described), NOW) == work


def test_a_refused_request_did_nothing():
    assert work_of("Rate exceeded (Service: AmazonSageMaker)", NOW) is None
