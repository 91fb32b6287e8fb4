"""The budget of Gaussians, and the way there."""

from __future__ import annotations

from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation

# Seldom enough for the statistics to have seen some photos; in the last quarter of the run all settles.
EDITS = Cadence(start=0.05, stop=0.75, every=1 / 30, min_every=10)


def target_count(max_gaussians: int, cadence: Cadence, situation: Situation) -> int:
    """How many Gaussians there are to be now: along a straight line to the budget, reached at `cadence.stop`.

    After Taming 3DGS (Mallick et al., SIGGRAPH Asia 2024), whose curve is a parabola.
    """
    grown = (situation.progress - cadence.start) / (cadence.stop - cadence.start)
    first = situation.initial_count
    return round(first + (max_gaussians - first) * min(1.0, max(0.0, grown)))
