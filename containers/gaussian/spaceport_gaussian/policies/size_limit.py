"""No Gaussian becomes larger than a share of the scene, to the very end of a run."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch

from spaceport_gaussian.optimisation import GaussianOptimiser
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation

ALWAYS = Cadence(start=0.0, stop=1.0, every=1 / 100)


@dataclass(frozen=True)
class SizeLimit:
    """Holds the standard deviations of all Gaussians to `max_scale`.

    Densification takes away what is larger (Kerbl et al. 2023), but ends before the run does. What is left to
    itself then may grow into a backdrop behind the holes of all photos: on a real flight (brighton) one dark
    Gaussian of 130 m, the size of the whole place, that filled half of every view from aside.

    Attributes:
        max_scale: share of the scene's extent; that of the densification.
    """

    cadence: Cadence = ALWAYS
    max_scale: float = 0.1

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def adjust(self, situation: Situation, optimiser: GaussianOptimiser) -> None:
        situation.splat.log_scales.clamp_(max=log(self.max_scale * situation.extent))
