"""When a policy acts: schedules are shares of the iterations, so that a run of 50 exercises every policy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """Every so often between two moments of a run.

    Attributes:
        start, stop: shares of the iterations, both included.
        every: share of the iterations between two times, but at least `min_every` iterations.
    """

    start: float
    stop: float
    every: float
    min_every: int = 1

    def interval(self, max_iterations: int) -> int:
        """Iterations between two times."""
        return max(self.min_every, round(self.every * max_iterations))

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        """Whether to act after `iterations` iterations."""
        within = self.start * max_iterations <= iterations <= self.stop * max_iterations
        return within and iterations % self.interval(max_iterations) == 0
