"""How large the photos are, by iteration."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

SCALES = (0.25, 0.5, 0.75, 1.0)
# The job input's contract: 5K iterations at each size, or quarters of a budget too small for that.
SWITCH_ITERATIONS = (5_000, 10_000, 15_000)


@dataclass(frozen=True)
class ResolutionSchedule:
    """Coarse to fine: small photos first, where an iteration is cheap and a Gaussian's pull reaches far.

    Fixed phases after Trick-GS (Armagan et al., ICASSP 2025) and the job input's contract.

    Attributes:
        switches: the iterations at which the next size starts, ascending.
        scales: the sizes, one more than there are switches; 1 = full size.
    """

    switches: tuple[int, ...]
    scales: tuple[float, ...]

    def scale_at(self, iteration: int) -> float:
        """The photos' scale in iteration `iteration` (from 0)."""
        return self.scales[bisect_right(self.switches, iteration)]

    def is_full(self, iteration: int) -> bool:
        return self.scale_at(iteration) == 1.0


def progressive_resolution(max_iterations: int) -> ResolutionSchedule:
    """The four phases for a budget of `max_iterations`."""
    if max_iterations > SWITCH_ITERATIONS[-1]:
        return ResolutionSchedule(SWITCH_ITERATIONS, SCALES)
    return ResolutionSchedule(tuple(max_iterations * quarter // 4 for quarter in (1, 2, 3)), SCALES)


def constant_resolution() -> ResolutionSchedule:
    """Full size from the first iteration on."""
    return ResolutionSchedule((), (1.0,))
