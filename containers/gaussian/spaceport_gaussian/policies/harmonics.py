"""Which spherical harmonics are in use, by iteration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HarmonicsRamp:
    """View-dependent colour comes in one SH degree at a time, once the shapes stand (Kerbl et al. 2023).

    Attributes:
        max_degree: 0..3.
        every: share of the budget between two degrees; 1/30 in 3DGS (1,000 of 30,000 iterations).
    """

    max_degree: int
    every: float

    def degree_at(self, progress: float) -> int:
        """The SH degree in use when the share `progress` (0..1) of the budget is spent."""
        return min(self.max_degree, int(progress / self.every))
