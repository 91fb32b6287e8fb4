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

    3DGS takes what is larger away with each densification (Kerbl et al. 2023, once opacities are reset), and
    leaves it alone after the last. Both went wrong here. Where SfM is blind few large Gaussians are all there
    is: each that is taken away leaves a hole, its neighbours stretch over it until they are too large
    themselves, and so on, the farther the longer a run is. Three photos fell from 22 to 10 dB on themselves.
    And after the last densification one dark Gaussian grew to 130 m on a real flight (brighton), a backdrop
    that filled half of every view from aside. So none is taken away for its size, and none outgrows it.

    Attributes:
        max_scale: share of the scene's extent.
    """

    cadence: Cadence = ALWAYS
    max_scale: float = 0.1

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def adjust(self, situation: Situation, optimiser: GaussianOptimiser) -> None:
        situation.splat.log_scales.clamp_(max=log(self.max_scale * situation.extent))
