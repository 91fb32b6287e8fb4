"""Which waiting jobs start now, and in which order the others will. Pure; `spaceport.dispatching` does it.

The next to start is always a job of the owner with the fewest slots, of two such owners the one who has
waited longer since their last turn, and of an owner's jobs the one that has waited longest. So a thousand
jobs of one owner delay another's only job by no more than the first slot that is freed, and owners who come
later do not go before who waits already.
"""

from __future__ import annotations

import base64
import hashlib
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
# Whose last turn is kept: of those who have waited since before it, since only then it counts, and of so many
# others, whose jobs the index may not know yet. An entry takes 37 bytes (a mark, a time), so all of them take
# 192 KB of the 400 that an item may have; the rest is for those who hold a slot.
REMEMBERED_WAITING = 5_000
REMEMBERED_OWNERS = 200


def mark_of(owner: str) -> str:
    """Eleven characters for the owner, whose name may have 128: 64 bits, which no two of a million share."""
    return base64.urlsafe_b64encode(hashlib.sha256(owner.encode()).digest()[:8]).decode().rstrip("=")


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
    """Who holds a slot, by job id, and when each owner last got one, by `mark_of` them.

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
        if not started:
            return self
        held = {**self.held, **{job.job_id: Slot(job.owner, job.run, now) for job in started}}
        served = {**self.served, **{mark_of(job.owner): now for job in started}}
        since: dict[str, str] = {}
        for job in waiting:
            mark = mark_of(job.owner)
            since[mark] = min(job.since, since.get(mark, job.since))
        newest = sorted(served, key=lambda mark: served[mark], reverse=True)
        counts = {mark for mark in newest if mark in since and since[mark] < served[mark]}
        kept = [
            *[mark for mark in newest if mark in counts][:REMEMBERED_WAITING],
            *[mark for mark in newest if mark not in counts][:REMEMBERED_OWNERS],
        ]
        return replace(self, held=held, served={mark: served[mark] for mark in kept})

    def in_order(self, waiting: Iterable[Waiting]) -> Iterator[Waiting]:
        """The waiting jobs as they will start, if none ends before another and none comes."""
        lines: dict[str, list[Waiting]] = defaultdict(list)
        for job in sorted(waiting, key=lambda job: (job.since, job.job_id), reverse=True):
            lines[job.owner].append(job)
        count = Counter(slot.owner for slot in self.held.values())
        # (slots, turns taken here, waiting for a turn since, owner): who is first is next.
        turns = [
            (count[owner], 0, max(self.served.get(mark_of(owner), ""), line[-1].since), owner)
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
