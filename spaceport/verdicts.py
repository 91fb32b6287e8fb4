"""What to do about a stage's job that failed: try again, wait for a machine, or give up. Pure.

No machine of one type: the next type, at once. None of any type: wait, twice as long each time, until
patience ends. The wait differs from job to job, so that all those which found none do not come back together.
No spot instance: on demand. AWS's own faults: again, twice. Everything else is final: our programs fail the
same way twice.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from spaceport.attempts import (
    MACHINES,
    TRIES_OF_AN_ENTRY,
    Attempt,
    Machine,
    Remedy,
    TrainingMachine,
    as_text,
)
from spaceport.diagnosis import NO_MACHINE, Reason, Work
from spaceport.job import PipelineStep, Try, now_iso

AWS_FAULTS = 2  # tries more: SageMaker's own advice to an InternalServerError is to try again
LONGEST_WAIT = timedelta(hours=1)  # capacity comes and goes within hours: a longer wait would miss it
JITTER = 0.25  # a wait is up to this share shorter or longer
# Spot instances have quotas and a market of their own: an on-demand machine may be had at once.
_NO_SPOT = (Reason.NO_CAPACITY, Reason.QUOTA, Reason.NO_QUOTA, Reason.OVER_WAIT)


@dataclass(frozen=True)
class Failure:
    """Why and when the SageMaker job of `step` failed, of the job `job_id`, and what it had done by then."""

    reason: Reason
    step: PipelineStep
    job_id: str
    at: datetime
    work: Work | None = None


@dataclass(frozen=True)
class Waiting:
    """How long to wait for a machine: the first time, and before giving up."""

    first: timedelta
    patience: timedelta


def verdict(failure: Failure, before: Attempt, waiting: Waiting) -> Attempt:
    """What to try after `failure`, `before` being what was tried."""
    before = _with_try(before, failure)
    step, reason, machine = failure.step, failure.reason, before.of(failure.step)
    if reason in _NO_SPOT and isinstance(machine, TrainingMachine) and machine.spot:
        return _now(before, failure, machine.on_demand(), f"No free {machine.instance_type} spot")
    if reason in NO_MACHINE:
        return _without_machine(failure, before, waiting)
    if reason is Reason.AWS_FAULT and machine.aws_faults < AWS_FAULTS:
        # It had a machine: if it gets none now, that is a new shortage.
        found = {"short_since": "", "waits": 0, "repeats": machine.repeats + 1}
        return _then(before, Remedy.AGAIN, step, machine, aws_faults=machine.aws_faults + 1, **found)
    return _then(before, Remedy.FAIL, step, machine)


def _with_try(before: Attempt, failure: Failure) -> Attempt:
    """`before` with the try that failed among its stage's, if it had a machine."""
    machine, work = before.of(failure.step), failure.work
    if work is None:
        return before
    spot = isinstance(machine, TrainingMachine) and machine.spot
    failed = Try(
        instance=machine.instance_type,
        spot=spot,
        seconds=work.seconds,
        billable_seconds=work.billable_seconds,
    )
    after = machine.model_copy(update={"tries": (*machine.tries, failed)})
    return before.model_copy(update={MACHINES[failure.step]: after})


def _without_machine(failure: Failure, before: Attempt, waiting: Waiting) -> Attempt:
    step, reason, machine = failure.step, failure.reason, before.of(failure.step)
    unavailable = machine.unavailable
    if reason is Reason.NO_QUOTA:
        unavailable = (*unavailable, machine.instance_type)
    possible = [kind for kind in machine.instance_types if kind not in unavailable]
    if not possible:
        return _then(before, Remedy.FAIL, step, machine)
    since = machine.short_since or now_iso(failure.at)
    tried = machine.instance_types.index(machine.instance_type)
    untried = [kind for kind in possible if machine.instance_types.index(kind) > tried]
    if untried and reason is not Reason.THROTTLED:  # AWS's API is too busy for any type
        other = machine.model_copy(
            update={"instance_type": untried[0], "unavailable": unavailable, "short_since": since}
        )
        return _now(before, failure, other, f"No free {machine.instance_type}")
    left = datetime.fromisoformat(since) + waiting.patience - failure.at
    if left <= timedelta(0):
        return _then(before, Remedy.FAIL, step, machine)
    seconds = max(1, round(min(_wait(machine.waits, failure.job_id, waiting), left).total_seconds()))
    until = now_iso(failure.at + timedelta(seconds=seconds))
    after = _then(
        before, Remedy.WAIT, step, machine,
        instance_type=possible[0], unavailable=unavailable, short_since=since, waits=machine.waits + 1,
    )  # fmt: skip
    detail = "AWS is busy" if reason is Reason.THROTTLED else f"No free {' or '.join(possible)}"
    return after.model_copy(update={"seconds": seconds, "next_try_at": until, "detail": detail})


def _now(before: Attempt, failure: Failure, machine: Machine, detail: str) -> Attempt:
    """Ask for another `machine` at once."""
    after = _then(before, Remedy.WAIT, failure.step, machine)
    return after.model_copy(update={"next_try_at": now_iso(failure.at), "detail": detail})


def _wait(waits: int, job_id: str, waiting: Waiting) -> timedelta:
    """How long a job that has waited `waits` times waits now."""
    longest = max(LONGEST_WAIT, waiting.first)
    doubled: timedelta = min(waiting.first * (1 << min(waits, 16)), longest)  # 2 ** 16 minutes are enough
    draw = int.from_bytes(hashlib.sha256(f"{job_id} {waits}".encode()).digest()[:4]) / 2**32
    return doubled * (1 - JITTER + 2 * JITTER * draw)


def _then(
    before: Attempt, remedy: Remedy, step: PipelineStep, machine: Machine, **changed: object
) -> Attempt:
    """The next attempt, under names that no SageMaker job has had."""
    first = machine.first_attempt + TRIES_OF_AN_ENTRY
    if remedy is Remedy.WAIT:  # the stage's time begins anew
        changed["repeats"] = 0
    after = machine.model_copy(update={"first_attempt": first, **changed})
    told = {"remedy": remedy, "seconds": 0, "next_try_at": "", "detail": "", "tries": as_text(machine.tries)}
    return before.model_copy(update={**told, MACHINES[step]: after})
