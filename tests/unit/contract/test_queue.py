"""Whose job starts next: by examples, and by what holds for any queue."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from spaceport.job import JobRecord, empty_stages
from spaceport.queue import HOLDING, RunningLimits, Slot, Slots, Waiting, mark_of
from spaceport.slots import item_after
from spaceport.stages import LIVE, TERMINAL, Status

quick = settings(max_examples=200, deadline=None, derandomize=True, database=None)
NOW = "2026-11-23T20:00:00.000Z"


def at(minute: int) -> str:
    return f"2026-11-23T{10 + minute // 60:02}:{minute % 60:02}:00.000Z"


def waiting(*owners: str) -> list[Waiting]:
    """One job a letter, queued in this order: `waiting("a", "a", "b")` is a0, a1, b2."""
    return [Waiting(f"{owner}{i}", owner, 1, at(i)) for i, owner in enumerate(owners)]


def ids(jobs: list[Waiting]) -> str:
    return " ".join(job.job_id for job in jobs)


owners = st.sampled_from("abcde")
minutes = st.integers(0, 500)
queues = st.lists(st.tuples(owners, minutes), max_size=30).map(
    lambda jobs: [Waiting(f"{owner}-{i}", owner, 1, at(minute)) for i, (owner, minute) in enumerate(jobs)]
)
slots = st.builds(
    lambda held, served: Slots({f"r-{i}": Slot(o, 1, NOW) for i, o in enumerate(held)}, served),
    st.lists(owners, max_size=6),
    st.dictionaries(owners.map(mark_of), minutes.map(at)),
)
limits = st.builds(RunningLimits, st.integers(1, 8), st.integers(1, 8))


def running(slots: Slots) -> Counter[str]:
    return Counter(slot.owner for slot in slots.held.values())


# ---- examples ----------------------------------------


def test_owners_take_turns_and_of_one_owners_jobs_the_oldest_is_first():
    order = list(Slots().in_order(waiting("a", "a", "a", "b", "b", "c")))
    assert ids(order) == "a0 b3 c5 a1 b4 a2"


def test_who_has_the_fewest_slots_is_next_and_then_who_was_not_served_for_longer():
    slots = Slots(
        {"x": Slot("a", 1, NOW)}, served={mark_of("a"): at(1), mark_of("b"): at(9), mark_of("c"): at(5)}
    )
    order = list(slots.in_order(waiting("a", "b", "c", "d", "a")))
    assert ids(order) == "d3 c2 b1 a0 a4"


def test_a_retry_waits_behind_what_was_queued_before_it():
    jobs = [Waiting("old", "a", 2, at(5)), Waiting("new", "a", 1, at(3))]
    assert ids(list(Slots().in_order(jobs))) == "new old"


def test_as_many_start_as_both_limits_allow():
    jobs = waiting("a", "a", "a", "b", "c")
    assert ids(Slots().starting(jobs, RunningLimits(3, 1))) == "a0 b3 c4"
    assert ids(Slots().starting(jobs, RunningLimits(4, 2))) == "a0 b3 c4 a1"
    full = Slots({str(i): Slot("z", 1, NOW) for i in range(5)})  # more than may: started by hand
    assert full.starting(jobs, RunningLimits(4, 2)) == []


# ---- what holds for any queue ----------------------------------------


@quick
@given(slots, queues, limits)
def test_the_limits_are_never_exceeded(slots, queue, limits):
    started = slots.starting(queue, limits)
    after = slots.with_started(started, NOW, [])
    if started:
        assert len(after.held) <= limits.total
    for job in started:
        assert running(after)[job.owner] <= limits.per_owner


@quick
@given(slots, queues, limits)
def test_no_slot_is_left_free_that_somebody_may_have(slots, queue, limits):
    started = slots.starting(queue, limits)
    after = slots.with_started(started, NOW, [])
    left = [job for job in queue if job not in started]
    if len(after.held) < limits.total:
        assert all(running(after)[job.owner] >= limits.per_owner for job in left)


@quick
@given(slots, queues, limits, st.randoms(use_true_random=False))
def test_the_order_the_rows_are_read_in_changes_nothing(slots, queue, limits, random):
    shuffled = random.sample(queue, len(queue))
    assert slots.starting(shuffled, limits) == slots.starting(queue, limits)
    assert list(slots.in_order(shuffled)) == list(slots.in_order(queue))


@quick
@given(slots, queues, limits)
def test_those_who_start_are_the_first_of_the_order_that_is_told(slots, queue, limits):
    order = list(slots.in_order(queue))
    assert sorted(job.job_id for job in order) == sorted(job.job_id for job in queue)
    started = slots.starting(queue, limits)
    assert order[: len(started)] == started


@quick
@given(slots, queues)
def test_nobodys_younger_job_starts_before_their_older_one(slots, queue):
    order = list(slots.in_order(queue))
    for owner in {job.owner for job in queue}:
        own = [job.since for job in order if job.owner == owner]
        assert own == sorted(own)


@quick
@given(queues, limits, st.randoms(use_true_random=False))
def test_nobody_starves_while_others_keep_coming(queue, limits, random):
    """One job of `z` comes last of all; before each end of a job, `a` queues another."""
    slots, z = Slots(), Waiting("z", "z", 1, at(600))
    queue = [*queue, z]
    for round_ in range(200):
        started = slots.starting(queue, limits)
        slots = slots.with_started(started, at(601 + round_ % 60), [])
        queue = [job for job in queue if job not in started]
        if z in started:
            # Then it has waited for no more than a turn of every other owner
            assert round_ <= 5
            return
        queue.append(Waiting(f"more-{round_}", "a", 1, at(0)))
        ended = random.choice(sorted(slots.held))
        slots = replace(slots, held={i: slot for i, slot in slots.held.items() if i != ended})
    raise AssertionError("z never started")


@settings(quick, max_examples=15)
@given(st.integers(1, 300), st.integers(1, 8), st.booleans())
def test_nobody_starves_however_many_owners_wait_and_new_ones_come(count, total, with_newcomers):
    """Everybody has a deep backlog, all as old, and each round all slots are freed."""
    waits = {
        f"o{i:03}": [Waiting(f"o{i:03}-{k}", f"o{i:03}", 1, at(0)) for k in range(4)] for i in range(count)
    }
    slots, unserved = Slots(), set(waits)
    newcomers: list[Waiting] = []
    for round_ in range(2 * count // total + 3):
        now = f"2026-11-24T{round_:09}"
        if with_newcomers:
            newcomers.append(Waiting(f"n{round_}", f"n{round_}", 1, now))
        queue = [job for line in waits.values() for job in line[:2]] + newcomers
        started = slots.starting(queue, RunningLimits(total, 1))
        slots = replace(slots.with_started(started, now, queue), held={})
        for job in started:
            if job.owner in waits:
                waits[job.owner].remove(job)
                assert job.owner in unserved or not unserved  # nobody is twice before another is once
                unserved.discard(job.owner)
            else:
                newcomers.remove(job)
        # Who came later waits behind all who were there and have had no turn since
        assert not unserved or all(job.owner in waits for job in started)
    assert not unserved


def test_an_old_owner_has_their_turn_though_new_ones_keep_coming():
    slots, queue = Slots(served={mark_of("zoe"): at(0)}), [Waiting("zoe-2", "zoe", 1, at(1))]
    for minute in range(2, 10):
        queue.append(Waiting(f"n{minute}", f"new-{minute}", 1, at(minute)))
        started = slots.starting(queue, RunningLimits(1, 1))
        if started[0].owner == "zoe":
            return
        slots = replace(slots.with_started(started, at(minute), queue), held={})
        queue = [job for job in queue if job not in started]
    raise AssertionError("zoe never started")


def test_owners_who_came_late_have_their_turn_among_thousands_with_old_jobs():
    # Given more owners with a backlog than the item had room for once, and ten who came after them
    waits = {f"o{i}": [Waiting(f"o{i}-{k}", f"o{i}", 1, at(0)) for k in range(3)] for i in range(2_000)}
    late = [Waiting(f"late{i}", f"late{i}", 1, at(1)) for i in range(10)]
    slots, queue, turns = Slots(), [*(job for line in waits.values() for job in line), *late], Counter()
    # When slots are freed a hundred at a time
    for minute in range(2, 23):
        started = slots.starting(queue, RunningLimits(100, 1))
        slots = replace(slots.with_started(started, at(minute), queue), held={})
        turns.update(job.owner for job in started)
        gone = {job.job_id for job in started}
        queue = [job for job in queue if job.job_id not in gone]
    # Then each has had a turn, and nobody two before that
    assert all(turns[job.owner] == 1 for job in late)
    assert {turns[owner] for owner in waits} == {1, 2}
    assert turns.total() == 2_100


def size(value: object) -> int:
    """Bytes that DynamoDB counts (developer guide, "DynamoDB item sizes and formats")."""
    match value:
        case str():
            return len(value.encode())
        case int():
            return (len(str(value)) + 1) // 2 + 1
        case dict():
            return 3 + sum(size(name) + size(part) + 1 for name, part in value.items())
    raise TypeError(value)


# As many as Cognito and job ids may have
LONGEST_NAME, LONGEST_ID = "x" * 123, "y" * 35


def test_the_item_of_a_thousand_jobs_of_a_thousand_owners_is_small():
    def wait(owner: int, job: int) -> Waiting:
        return Waiting(f"{owner:04}{job}{LONGEST_ID}", f"{owner:05}{LONGEST_NAME}", 1, at(0))

    for jobs, largest in ((1, 13_000), (2, 45_000)):
        slots, queue = Slots(), [wait(owner, job) for owner in range(1000) for job in range(jobs)]
        sizes = []
        while queue:
            started = slots.starting(queue, RunningLimits(20, 2))
            slots = slots.with_started(started, NOW, queue)
            sizes.append(size(item_after(slots)))
            slots = replace(slots, held={})
            queue = queue[len(started) :] if jobs == 1 else [job for job in queue if job not in started]
        assert max(sizes) < largest, max(sizes)


def test_the_item_has_room_for_as_many_as_it_remembers_and_a_thousand_who_run():
    many = [Waiting(f"{i:05}{LONGEST_ID}", f"{i:05}{LONGEST_NAME}", 1, at(0)) for i in range(20_000)]
    slots = Slots().with_started(many, NOW, many)
    running = {f"{i:05}{LONGEST_ID}": Slot(f"{i:05}{LONGEST_NAME}", 1, NOW) for i in range(800)}
    assert size(item_after(replace(slots, held=running))) < 400_000


# ---- slots and rows ----------------------------------------


def row(job_id: str, status: Status, run: int = 1, **fields: object) -> JobRecord:
    return JobRecord.model_validate(
        {"job_id": job_id, "status": status, "run": run, "owner": "a", "created_at": NOW, "updated_at": NOW}
        | {"stages": empty_stages()}
        | fields
    )


def test_whoever_runs_has_a_slot_whether_it_was_given_one_or_not():
    ids = {status: status.lower().replace("_", "-") for status in Status}
    slots = Slots({ids[status]: Slot("a", 1, at(1)) for status in Status})
    rows = [row(ids[status], status) for status in Status]
    # Given slots of all jobs, then those that have ended lose theirs
    assert set(slots.as_rows_say(rows, NOW).held) == {ids[status] for status in LIVE}
    # And given none, then those that run get one; those in the queue do not
    assert set(Slots().as_rows_say(rows, NOW).held) == {ids[status] for status in HOLDING}


def test_a_slot_is_of_one_run():
    slots = Slots({"job": Slot("a", 1, at(1))})
    assert slots.as_rows_say([row("job", Status.QUEUED)], NOW).held == slots.held
    # A retry of the job waits its turn, and one that was started by hand holds a slot of its own
    assert slots.as_rows_say([row("job", Status.QUEUED, run=2)], NOW).held == {}
    assert slots.as_rows_say([row("job", Status.RUNNING, run=2)], NOW).held == {"job": Slot("a", 2, NOW)}


def test_a_job_whose_row_is_gone_holds_nothing():
    assert Slots({"gone": Slot("a", 1, NOW)}).as_rows_say([], NOW).held == {}


def test_only_the_owners_served_last_are_remembered():
    slots = Slots()
    for i in range(300):
        slots = slots.with_started([Waiting(f"j{i}", f"owner-{i}", 1, at(0))], at(i), [])
    assert sorted(slots.served) == sorted(mark_of(f"owner-{i}") for i in range(100, 300))


def test_only_while_it_waits_a_job_has_a_place():
    assert row("job", Status.QUEUED, queue_position=3).status_view()["queuePosition"] == 3
    for status in {*LIVE, *TERMINAL} - {Status.QUEUED}:
        assert row("job", status, queue_position=3).status_view()["queuePosition"] is None
