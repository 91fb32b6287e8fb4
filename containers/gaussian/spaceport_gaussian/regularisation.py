"""What keeps a splat of few photos from fitting their noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.splat import Splat


@dataclass(frozen=True)
class Regularisation:
    """Weights of the terms added to the loss; 0 switches a term off.

    Opacity and scale after 3DGS as Markov Chain Monte Carlo (Kheradmand et al., NeurIPS 2024): what no
    photo needs fades and shrinks. Needles after PhysGaussian (Xie et al., CVPR 2024), on the two longest
    axes: a flat disc is a surface, a needle is an error seen from the side.

    Attributes:
        opacity: of the mean opacity.
        scale: of the mean standard deviation, in scene extents.
        needle: of the mean excess of log(longest / second axis) over log(max_ratio).
        max_ratio: up to which an elongated Gaussian is free.
    """

    opacity: float = 0.0
    scale: float = 0.0
    needle: float = 0.0
    max_ratio: float = 4.0

    def loss(self, splat: Splat, extent: float) -> Tensor:
        """The sum of the terms, a scalar; `extent` in metres."""
        total = torch.zeros((), device=splat.means.device)
        if self.opacity:
            total = total + self.opacity * splat.opacities.mean()
        if self.scale:
            total = total + self.scale * splat.scales.mean() / extent
        if self.needle:
            longest, second = splat.log_scales.topk(2, dim=1).values.unbind(1)
            excess = longest - second - torch.tensor(self.max_ratio).log().item()
            total = total + self.needle * excess.clamp(min=0.0).mean()
        return total
