"""What keeps a splat of few photos from fitting their noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.splat import Splat
from spaceport_render import triton_kernels


@dataclass(frozen=True)
class Regularisation:
    """Weights of the terms added to the loss; 0 switches a term off.

    Opacity and scale after 3DGS as Markov Chain Monte Carlo (Kheradmand et al., NeurIPS 2024): what no photo
    needs fades and shrinks, and is then taken away.

    Attributes:
        opacity: of the mean opacity.
        scale: of the mean standard deviation, in scene extents.
        anisotropy: of how far needles are too slender, on average, after PhysGaussian (Xie et al., CVPR
            2024). That takes the longest axis by the shortest; here it is by the middle one, for the ground
            is made of discs, and a disc is no needle.
        slenderness: the length by breadth that is no needle yet. Roof edges and lane markings want some.
        harmonics: of the mean square of the view-dependent coefficients: colour that changes with the view
            must be worth it, else it explains single photos (shadows, exposure) to themselves.
        transparency: of the share of the background that shows through. Seen from above, a scene has no
            sky: where Gaussians let the black behind them through, they use it as paint, and from elsewhere
            it is a hole.
    """

    opacity: float = 0.0
    scale: float = 0.0
    anisotropy: float = 0.0
    slenderness: float = 5.0
    harmonics: float = 0.0
    transparency: float = 0.0

    def loss(self, splat: Splat, is_seen: Tensor, alpha: Tensor, extent: float) -> Tensor:
        """The sum of the terms, a scalar.

        Args:
            is_seen: (N,) which Gaussians the photo of this iteration shows. Only these are held back:
                Adam turns any steady pull into full steps, and what no photo contradicts would vanish.
            alpha: (H, W) of this iteration's render.
            extent: of the scene, metres.
        """
        share = is_seen.float() / len(splat)
        total = self._opacity_and_size(splat, is_seen, share, extent)
        if self.anisotropy:
            excess = (slenderness(splat) - self.slenderness).clamp(min=0.0)
            total = total + self.anisotropy * (excess * share).sum()
        if self.harmonics and splat.sh_rest.shape[1]:
            total = total + self.harmonics * (splat.sh_rest.square().mean(dim=(1, 2)) * share).sum()
        if self.transparency:
            total = total + self.transparency * (1.0 - alpha).mean()
        return total

    def _opacity_and_size(self, splat: Splat, is_seen: Tensor, share: Tensor, extent: float) -> Tensor:
        if triton_kernels.usable_on(share.device) and (self.opacity or self.scale):
            from spaceport_gaussian.policies import triton_regularisation  # noqa: PLC0415

            return triton_regularisation.opacity_and_size(
                splat.opacity_logits,
                splat.log_scales,
                is_seen,
                opacity=self.opacity,
                scale=self.scale / extent,
            )
        total = torch.zeros((), device=share.device)
        if self.opacity:
            total = total + self.opacity * (splat.opacities * share).sum()
        if self.scale:
            total = total + self.scale * (splat.scales.mean(dim=1) * share).sum() / extent
        return total


def slenderness(splat: Splat) -> Tensor:
    """(N,) each Gaussian's longest axis by its middle one: 1 for discs and balls, much more for needles."""
    longest, middle, _ = splat.log_scales.sort(dim=1, descending=True).values.unbind(dim=1)
    return (longest - middle).exp()
