"""How long training will still take: what its iterations are known to cost, by the pace of the last ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import accumulate

# What an iteration costs beside its pixels, in units of a full-size photo's pixels. On a CPU: brighton,
# `preview`, 2 cores, 2026-11-23: 14, 17, 44 and 62 ms at 0.25, 0.5, 0.75 and 1.0 of the size. On a GPU
# iterations take the same time at every size (docs/training.md): launching their kernels is what takes it.
FIXED_ON_CPU = 0.15
FIXED_ON_CUDA = 10.0

MEASURING_SHARE = 0.12  # of the iterations' time: what comes after them, in the same run
WINDOW_S = 20.0  # of the past that counts: what other programs leave us of the machine changes
LEAST_S = 2.0  # before the first estimate


class Pace:
    """Estimates the seconds to the end of the job, if all iterations are trained: a plateau ends it sooner.

    Args:
        scales: of the photos, for each iteration of the budget.
        fixed: what an iteration costs beside its pixels, see FIXED_ON_CPU.
    """

    def __init__(self, scales: Iterable[float], fixed: float) -> None:
        # What has been spent after each iteration, in full-size photos.
        self._spent = list(accumulate((fixed + scale * scale for scale in scales), initial=0.0))
        self._recent: deque[tuple[float, float]] = deque()  # times, and what had been spent by then

    def seconds_left(self, iterations: int, now: float) -> float | None:
        """After so many iterations, at the time `now`, seconds; None as long as nothing can be told.

        The time before the first call does not count: kernels are compiled in the first iteration.
        """
        spent = self._spent[iterations]
        if self._recent and spent < self._recent[-1][1]:
            self._recent.clear()  # the run went back
        self._recent.append((now, spent))
        while len(self._recent) > 2 and now - self._recent[1][0] > WINDOW_S:
            self._recent.popleft()
        since, spent_then = self._recent[0]
        if now - since < LEAST_S or spent == spent_then:
            return None
        return (now - since) / (spent - spent_then) * ((1 + MEASURING_SHARE) * self._spent[-1] - spent)
