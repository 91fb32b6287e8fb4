"""What keeps a splat of few photos from fitting their noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.splat import Splat


@dataclass(frozen=True)
class Regularisation:
    """Weights of the terms added to the loss; 0 switches a term off.

    After 3DGS as Markov Chain Monte Carlo (Kheradmand et al., NeurIPS 2024): what no photo needs fades
    and shrinks, and is then taken away. A penalty on needles changed nothing that could be measured.

    Attributes:
        opacity: of the mean opacity.
        scale: of the mean standard deviation, in scene extents.
    """

    opacity: float = 0.0
    scale: float = 0.0

    def loss(self, splat: Splat, is_seen: Tensor, extent: float) -> Tensor:
        """The sum of the terms, a scalar.

        Args:
            is_seen: (N,) which Gaussians the photo of this iteration shows. Only these are held back:
                Adam turns any steady pull into full steps, and what no photo contradicts would vanish.
            extent: of the scene, metres.
        """
        share = is_seen.float() / len(splat)
        total = torch.zeros((), device=splat.means.device)
        if self.opacity:
            total = total + self.opacity * (splat.opacities * share).sum()
        if self.scale:
            total = total + self.scale * (splat.scales.mean(dim=1) * share).sum() / extent
        return total
