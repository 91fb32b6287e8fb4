"""Starting as many queued jobs as the limits allow, and telling the others their place in the queue.

Slots are taken first and executions started after, so two dispatchers never start more than they may. A crash
in between does no harm: the next round starts what has a slot and still waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from spaceport import metering
from spaceport.errors import ErrorText
from spaceport.executions import Executions
from spaceport.job import JobRecord, Kind
from spaceport.jobs import Jobs
from spaceport.prices import Bill
from spaceport.queue import HOLDING, RunningLimits, Slots, Waiting
from spaceport.slots import SlotsItem
from spaceport.stages import Status

PLACES = 100  # whoever is further back is told no place: each that is costs a write whenever it changes
# Who is told at once that they have moved up: each start moves all. The others are told every minute.
NEXT = 20
# Each lost race is a round of somebody else's; so many in a row are a fault.
TRIES = 20
UNREADABLE = ErrorText(
    "fault", "The job can't be started: what its row says is no input.", "Upload the zip again."
)


class BusyError(Exception):
    """The slots changed whenever they were about to be written."""


@dataclass(frozen=True)
class Round:
    """What one round has done: who got a slot in it, and how many hold one and wait after it."""

    taken: list[Waiting]
    running: int
    waiting: int


class Dispatching:
    """The queue of one stack."""

    def __init__(self, jobs: Jobs, slots: SlotsItem, executions: Executions, limits: RunningLimits) -> None:
        self._jobs = jobs
        self._slots = slots
        self._executions = executions
        self._limits = limits

    def dispatch(self, now: str, heard_of: str | None = None) -> Round:
        """Start what may start.

        Args:
            heard_of: a job that has just changed: the index by status may not know it yet. Without one, it is
                the minute's round, in which all are told their place.

        Raises:
            BusyError: nothing is done; the next round comes within a minute.
            ExceptionGroup: what kept some of the jobs from being started; the others are.
        """
        for _ in range(TRIES):
            seen = self._slots.read()
            rows = self._may_run(seen, heard_of)
            kept = seen.as_rows_say(rows, now)
            waiting = self._waiting(kept, rows)
            taken = self._next(kept, waiting)
            slots = kept.with_started(taken, now, waiting)
            if slots == seen or self._slots.write(slots):
                break
        else:
            raise BusyError(f"lost {TRIES} races for the slots")
        queue = [job for job in waiting if job not in taken]
        started = {row.job_id: row for row in [*rows, *self._jobs.many(job.job_id for job in taken)]}
        self._start(started.values(), slots, now)
        self._tell_places(slots, queue, now, upto=PLACES if heard_of is None else NEXT)
        return Round(taken, running=len(slots.held), waiting=len(queue))

    def _may_run(self, seen: Slots, heard_of: str | None) -> list[JobRecord]:
        """The rows of all jobs that hold a slot, or should: whoever runs, however it was started."""
        ids = {*seen.held, *(job_id for status in HOLDING for job_id in self._jobs.with_status(status))}
        rows = self._jobs.many({*ids, heard_of} if heard_of else ids)
        return [row for row in rows if row.kind is Kind.JOB]

    def _waiting(self, kept: Slots, rows: Iterable[JobRecord]) -> list[Waiting]:
        """The queued runs without a slot: those in `rows` as they are, the others as the index has them."""
        now = {row.job_id: row for row in rows}
        indexed = [job for job in self._jobs.waiting() if job.job_id not in now]
        queued = [row for row in now.values() if row.status is Status.QUEUED and not kept.holds(row)]
        return [*indexed, *map(Waiting.of, queued)]

    def _next(self, kept: Slots, waiting: list[Waiting]) -> list[Waiting]:
        """Those who start now, each of whom waits indeed; whoever does not is removed from `waiting`."""
        while True:
            chosen = kept.starting(waiting, self._limits)
            rows = {row.job_id: row for row in self._jobs.many(job.job_id for job in chosen)}
            gone = [job for job in chosen if not job.is_run_of(rows.get(job.job_id))]
            if not gone:
                return chosen
            for job in gone:
                waiting.remove(job)

    def _start(self, rows: Iterable[JobRecord], slots: Slots, now: str) -> None:
        faults = []
        for row in rows:
            if row.status is not Status.QUEUED or not slots.holds(row):
                continue
            try:
                self._executions.start(row)
            except ValidationError:  # it will never start: it must not keep its slot
                self._refuse(row, now)
            except Exception as fault:  # whatever it is, the other jobs are not to wait for it
                fault.add_note(f"job {row.job_id}, run {row.run}")
                faults.append(fault)
        if faults:
            raise ExceptionGroup("some jobs hold a slot and could not be started", faults)

    def _refuse(self, row: JobRecord, now: str) -> None:
        """End a run that has never begun: it leaves the results that the job had."""
        left = row.outputs if row.earlier_results else None
        if self._jobs.fail(row, "", UNREADABLE, now, costs={}, outputs=left):
            metering.job_ended(row, Status.FAILED, Bill({}, {}), UNREADABLE.code)

    def _tell_places(self, slots: Slots, queue: list[Waiting], now: str, upto: int) -> None:
        """Tell the first `upto` their places, and those who have none yet; PLACES: all, in their order."""
        for place, job in enumerate(slots.in_order(queue), start=1):
            told = place if place <= PLACES else None
            due = upto == PLACES or place <= upto or job.position is None
            if due and told != job.position:
                self._jobs.place(job, told, now)
