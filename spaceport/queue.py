"""Which waiting jobs start now, and in which order the others will. Pure; `spaceport.dispatching` does it.

The next to start is always a job of the owner with the fewest slots, of two such owners the one who has
waited longer since their last turn, and of an owner's jobs the one that has waited longest. So a thousand
jobs of one owner delay another's only job by no more than the first slot that is freed, and owners who come
later do not go before who waits already.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from spaceport.job import JobRecord
from spaceport.stages import Status

# A running job holds a slot; so does one that waits for a machine, since it may get one any minute, and one
# that is stopping, since its machine is not free yet.
HOLDING = (Status.RUNNING, Status.WAITING_CAPACITY, Status.STOPPING)
# Whose last turn is kept: that of all who wait, and of so many others. An entry takes at most 160 bytes (a
# Cognito name of 128, a time), so 1,500 take 240 KB of the 400 that an item may have.
REMEMBERED_OWNERS = 200
REMEMBERED_WAITING = 1_300


@dataclass(frozen=True)
class RunningLimits:
    """How many jobs may run at once: in all, and of one owner."""

    total: int
    per_owner: int


@dataclass(frozen=True)
class Waiting:
    """A queued run of a job; `since` is when it was queued (ISO 8601), `position` what its row tells."""

    job_id: str
    owner: str
    run: int
    since: str
    position: int | None = None

    @classmethod
    def of(cls, row: JobRecord) -> Self:
        """The run that this row waits for."""
        return cls(row.job_id, row.owner, row.run, row.queued_at or row.created_at, row.queue_position)

    def waited(self, now: str) -> float:
        """Seconds in the queue, up to `now`."""
        return (datetime.fromisoformat(now) - datetime.fromisoformat(self.since)).total_seconds()

    def is_run_of(self, row: JobRecord | None) -> bool:
        """Whether it is this run that the row, if there is one, waits for."""
        return row is not None and row.is_queued and row.run == self.run


@dataclass(frozen=True)
class Slot:
    """The right of one run of a job to be running, `since` when (ISO 8601)."""

    owner: str
    run: int
    since: str


@dataclass(frozen=True)
class Slots:
    """Who holds a slot, by job id, and when each owner last got one.

    The Jobs table stays the truth: what is here and not there is dropped, and the other way round taken over.
    `version` is that of the item they were read from; 0: there was none.
    """

    held: Mapping[str, Slot] = field(default_factory=dict)
    served: Mapping[str, str] = field(default_factory=dict)
    version: int = 0

    def holds(self, row: JobRecord) -> bool:
        """Whether this very run of the job has a slot."""
        slot = self.held.get(row.job_id)
        return slot is not None and slot.run == row.run

    def as_rows_say(self, rows: Iterable[JobRecord], now: str) -> Slots:
        """The slots that these rows, of all jobs which may run, leave: ended jobs have given theirs back.

        A job that nobody queued, since its execution was started by hand, gets one whatever the limits say.
        """
        held = {
            row.job_id: self.held[row.job_id] if self.holds(row) else Slot(row.owner, row.run, now)
            for row in rows
            if row.status in HOLDING or (row.status is Status.QUEUED and self.holds(row))
        }
        return replace(self, held=held)

    def with_started(self, started: Sequence[Waiting], now: str, waiting: Iterable[Waiting]) -> Slots:
        """These slots, and one for each of `started`, where `waiting` wait (some of `started` may be in it).

        The last turn of whoever waits is not forgotten: as if never served, they would go before the others.
        """
        held = {**self.held, **{job.job_id: Slot(job.owner, job.run, now) for job in started}}
        served = {**self.served, **{job.owner: now for job in started}}
        newest = sorted(served, key=lambda owner: served[owner], reverse=True)
        whose = {job.owner for job in waiting}
        kept = [
            *[owner for owner in newest if owner in whose][:REMEMBERED_WAITING],
            *[owner for owner in newest if owner not in whose][:REMEMBERED_OWNERS],
        ]
        return replace(self, held=held, served={owner: served[owner] for owner in kept})

    def in_order(self, waiting: Iterable[Waiting]) -> Iterator[Waiting]:
        """The waiting jobs as they will start, if none ends before another and none comes."""
        lines: dict[str, list[Waiting]] = defaultdict(list)
        for job in sorted(waiting, key=lambda job: (job.since, job.job_id), reverse=True):
            lines[job.owner].append(job)
        count = Counter(slot.owner for slot in self.held.values())
        # (slots, turns taken here, waiting for a turn since, owner): who is first is next.
        turns = [
            (count[owner], 0, max(self.served.get(owner, ""), line[-1].since), owner)
            for owner, line in lines.items()
        ]
        heapq.heapify(turns)
        taken = 0
        while turns:
            slots, _, since, owner = heapq.heappop(turns)
            yield lines[owner].pop()
            taken += 1
            if lines[owner]:
                heapq.heappush(turns, (slots + 1, taken, since, owner))

    def starting(self, waiting: Iterable[Waiting], limits: RunningLimits) -> list[Waiting]:
        """Those who get a slot now: as many as the limits allow."""
        free = limits.total - len(self.held)
        count = Counter(slot.owner for slot in self.held.values())
        starting: list[Waiting] = []
        for job in self.in_order(waiting):
            # The owner whose turn it is has the fewest slots: behind one who has all theirs is nobody better.
            if len(starting) >= free or count[job.owner] >= limits.per_owner:
                break
            count[job.owner] += 1
            starting.append(job)
        return starting
