"""Gaussian dropout: no Gaussian may count on those in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Between the draws of two seeds: prime, and more than any budget. torch's generator for the CPU looks at the
# lower 32 bits only.
SEEDS_APART = 1_000_003


@dataclass(frozen=True)
class GaussianDropout:
    """Leaves a random share of the Gaussians out of each iteration, more of them as time goes on.

    DropGaussian (Park, Ryu and Kim, CVPR 2025): where photos are few, Gaussians near the cameras hide those
    behind, which then learn from next to no photo. When some of the former are missing, the latter are seen
    and learn; those that stay are made as much more opaque, so that as much is hidden on average.

    Attributes:
        share: of the Gaussians left out at the end; it rises from 0 along a line, as overfitting does. The
            paper's is 0.2, for scenes of three to nine photos.
        seed: of the draws. Each iteration draws anew from it and its own number, so nothing has to be kept
            for a run to go on as it would have gone.
    """

    share: float
    seed: int

    def share_at(self, progress: float) -> float:
        """Of the Gaussians left out when the share `progress` (0..1) of the budget is spent."""
        return self.share * progress

    def factors(self, count: int, iterations: int, progress: float, device: torch.device) -> Tensor:
        """(N,) what opacities are multiplied by in this iteration: 0, or what makes up for it.

        Drawn on `device`, which is not waited for.

        Args:
            iterations: done so far, the share `progress` of the budget.
        """
        share = self.share_at(progress)
        seed = (self.seed * SEEDS_APART + iterations) % 2**32
        generator = torch.Generator(device).manual_seed(seed)
        is_kept = torch.rand(count, generator=generator, device=device) >= share
        return is_kept / (1.0 - share)
