"""Opacities fade a little all the time, instead of being reset now and then."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spaceport_gaussian.optimisation import GaussianOptimiser
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation

WHILE_GROWING = Cadence(start=0.05, stop=0.75, every=1 / 300)


@dataclass(frozen=True)
class OpacityDecay:
    """Multiplies all opacities by a little less than 1: what no photo holds up fades, and is taken away.

    For few photos by Han et al. (Binocular-Guided 3D Gaussian Splatting, NeurIPS 2024: 0.995 in each
    iteration). Resets (Kerbl et al. 2023) do the same at one blow, after which the renders need many
    iterations to recover: more than a short run has.

    Attributes:
        cadence: while the densification still takes away what fades.
        factor: of the opacity, each time.
    """

    cadence: Cadence = WHILE_GROWING
    factor: float = 0.97

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def adjust(self, situation: Situation, optimiser: GaussianOptimiser) -> None:
        logits = situation.splat.opacity_logits
        logits.copy_(torch.logit(self.factor * logits.sigmoid(), eps=1e-7))
