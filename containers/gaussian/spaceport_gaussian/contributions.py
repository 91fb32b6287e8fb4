"""How much of the photos each Gaussian paints: its blend weights, summed over their pixels.

What a Gaussian adds to a pixel is its colour times a blend weight, alpha × transmittance. So an image is
linear in the colours, and the gradient of its sum over the pixels by a colour is that Gaussian's weights,
summed. Any differentiable rasterizer tells them, without a kernel for it (FastGS, Ren et al. 2025, and
LightGaussian, Fan et al. 2024, count in kernels of their own).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spaceport_gaussian.photos import Vantage
from spaceport_gaussian.splat import PARAMETERS, Splat
from spaceport_render.spherical_harmonics import SH_0


@dataclass(frozen=True)
class Blend:
    """What one view sees of each Gaussian.

    Attributes:
        weights: (N, 3) for each of three masks, blend weights × mask, summed over the pixels.
        is_drawn: (N,) bool, whether the footprint touches the view; what lies in front may hide it.
    """

    weights: Tensor
    is_drawn: Tensor


@dataclass(frozen=True)
class Contributions:
    """What several views see of each Gaussian.

    Attributes:
        weights: (N,) blend weights, summed over all pixels of all views: how many pixels it paints.
        views: (N,) how many views its footprint touches.
    """

    weights: Tensor
    views: Tensor


def contributions(splat: Splat, views: Iterable[Vantage]) -> Contributions:
    """The blend weights of each Gaussian over `views`; costs an iteration's time for each of them."""
    weights = torch.zeros(len(splat), device=splat.means.device)
    touched = torch.zeros_like(weights)
    for view in views:
        everywhere = torch.ones(view.camera.height, view.camera.width, 3, device=weights.device)
        seen = blend(splat, view, everywhere)
        weights += seen.weights[:, 0]
        touched += seen.is_drawn
    return Contributions(weights, touched)


@torch.enable_grad()
def blend(splat: Splat, view: Vantage, masks: Tensor) -> Blend:
    """The blend weights of each Gaussian in one view, by pixels.

    Args:
        masks: (H, W, 3), how much each pixel counts, three times: an image has three channels to ask by.
    """
    fixed = {name: tensor.detach() for name, tensor in splat.tensors.items() if name in PARAMETERS[:4]}
    # A coefficient of 0 is a colour of 0.5: where colours are cut off below, there would be no gradient.
    colors = torch.zeros_like(splat.sh_dc).requires_grad_(True)
    grey = replace(splat, **fixed, sh_dc=colors, sh_rest=splat.sh_rest.detach()[:, :0], bands=None)
    render = grey.render(view)
    (gradient,) = torch.autograd.grad((render.image * masks).sum(), colors)
    return Blend(gradient[:, 0] / float(SH_0), render.radii > 0)
