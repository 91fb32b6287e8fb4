"""How good a splat is, against photos at full training size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat
from spaceport_render import metrics


@dataclass(frozen=True)
class Quality:
    """Means over photos: psnr in dB, ssim and detail as `spaceport_render.metrics` says."""

    psnr: float
    ssim: float
    detail: float


def psnr(render: Tensor, target: Tensor) -> Tensor:
    """The PSNR of two images (H, W, 3), dB, at most 100: a scalar on their device."""
    return -10.0 * torch.log10(torch.mean((render.clamp(0.0, 1.0) - target) ** 2).clamp(min=1e-10))


@torch.no_grad()
def mean_psnr(splat: Splat, photos: Sequence[Photo], sh_degree: int | None = None) -> float:
    """The mean PSNR over `photos`, dB, with SH bands up to `sh_degree` (default: all); quick."""
    values = [psnr(splat.render(photo, sh_degree).image, photo.target) for photo in photos]
    return float(torch.stack(values).mean())


@torch.no_grad()
def evaluate(splat: Splat, photos: Sequence[Photo]) -> Quality:
    """All measures, over `photos`, with every SH band."""
    rows = []
    for photo in photos:
        render = splat.render(photo).image.clamp(0.0, 1.0).cpu().numpy()
        target = photo.target.cpu().numpy()
        rows.append(
            (metrics.psnr(render, target), metrics.ssim(render, target), metrics.detail(render, target))
        )
    return Quality(*(float(mean) for mean in np.mean(rows, axis=0)))
