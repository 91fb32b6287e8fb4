"""The time that a stage still needs, told by its progress lines, and how people read it."""

from __future__ import annotations

import math

SECONDS_LEFT = "seconds_left"  # the metric of progress lines, there as soon as it can be told


def about_left(seconds: float) -> str:
    """`seconds` as exact as an estimate is: steps of 5 s, then of 10 s, then minutes; empty at the end.

    >>> [about_left(seconds) for seconds in (0, 2, 41, 97, 400)]
    ['', 'about 5 s left', 'about 45 s left', 'about 100 s left', 'about 7 min left']
    """
    if seconds <= 0:
        return ""
    if seconds > 120:
        return f"about {math.ceil(seconds / 60)} min left"
    step = 5 if seconds <= 60 else 10
    return f"about {math.ceil(seconds / step) * step} s left"
