"""What matters least to the training photos is taken away."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.contributions import contributions
from spaceport_gaussian.optimisation import Edit
from spaceport_gaussian.policies.policy import Situation


@dataclass(frozen=True)
class SignificancePruning:
    """Takes away the Gaussians of least significance, a share at a time, and all that paint nothing.

    Significance is LightGaussian's (Fan et al., NeurIPS 2024), which Trick-GS (Armagan et al., ICASSP 2025)
    prunes by while it trains: the blend weights over all training photos × the volume to a small power,
    relative to that of the 90th percentile and at most 1. When and how much are ours: once while the
    densification can still use the room elsewhere, once when all are there.

    What lies beyond the photos' edges is left alone: no photo can tell whether it is needed, and views
    between them show it.

    Attributes:
        moments: shares of the iterations at which to prune.
        share: of the Gaussians that go each time.
        volume_power: LightGaussian's β.
    """

    moments: tuple[float, ...] = (0.5, 0.8)
    share: float = 0.2
    volume_power: float = 0.1

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return iterations in {round(moment * max_iterations) for moment in self.moments}

    @torch.no_grad()
    def edit(self, situation: Situation) -> Edit:
        splat = situation.splat
        seen = contributions(splat, situation.photos)
        is_shown = seen.views > 0
        significance = seen.weights * normalised_volume(splat.log_scales) ** self.volume_power
        judged = torch.where(is_shown, significance, torch.inf)
        least = judged.argsort()[: round(self.share * int(is_shown.sum()))]
        stays = ~(is_shown & (seen.weights <= 0))
        stays[least] = False
        survivors = stays.nonzero().squeeze(1)
        return Edit(survivors, {name: tensor[:0] for name, tensor in splat.tensors.items()})


def normalised_volume(log_scales: Tensor) -> Tensor:
    """(N,) volumes over that of the 90th percentile, at most 1; from (N, 3)."""
    volumes = log_scales.sum(dim=1)
    large = volumes.kthvalue(max(1, round(0.9 * len(volumes)))).values
    return (volumes - large).exp().clamp(max=1.0)
