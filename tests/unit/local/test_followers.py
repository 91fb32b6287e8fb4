"""What bench/followers.py makes of what clients saw: a promise that is broken must be counted."""

from __future__ import annotations

import pytest
from followers import Promises, Seen, promises

RUNNING, DONE = ("RUNNING", "sfm"), ("COMPLETED", "done")


def seen(*messages: tuple[int, tuple[str, str]], waited: float = 0.01) -> Seen:
    return Seen("job-1", [(version, *step, waited) for version, step in messages])


WHOLE = seen((1, ("QUEUED", "setup")), (3, RUNNING), (4, RUNNING), (5, DONE))


@pytest.mark.parametrize(
    ("client", "broken"),
    [
        (WHOLE, Promises(0, 0, 0, 0)),
        # progress may be left out, what was before the first message too, and a version may come twice
        (seen((4, RUNNING), (4, RUNNING), (5, DONE)), Promises(0, 0, 0, 0)),
        # the first message counts, and so does each that is older than any before it
        (seen((4, RUNNING), (3, RUNNING), (5, DONE)), Promises(1, 0, 0, 0)),
        (seen((3, RUNNING), (5, DONE), (4, RUNNING), (4, RUNNING)), Promises(2, 0, 0, 0)),
        (seen((1, ("QUEUED", "setup")), (5, DONE)), Promises(0, 1, 0, 0)),
        (seen((3, RUNNING), (4, RUNNING)), Promises(0, 1, 0, 1)),
        (seen(), Promises(0, 0, 0, 1)),
        (seen((3, RUNNING), (5, DONE), waited=1.2), Promises(0, 0, 1, 0)),
    ],
)
def test_broken_promises_are_counted(client: Seen, broken: Promises) -> None:
    assert promises([WHOLE, client]) == broken
    assert broken.kept == (broken == Promises(0, 0, 0, 0))
