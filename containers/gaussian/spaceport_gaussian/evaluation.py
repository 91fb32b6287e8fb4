"""How good a splat is, against photos at full training size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat
from spaceport_render import metrics


@dataclass(frozen=True)
class Quality:
    """Means over photos: psnr in dB, ssim and detail as `spaceport_render.metrics` says."""

    psnr: float
    ssim: float
    detail: float


@torch.no_grad()
def mean_psnr(splat: Splat, photos: Sequence[Photo], sh_degree: int) -> float:
    """The mean PSNR over `photos`, dB; quick, on the splat's device."""
    errors = [
        torch.mean((splat.render(photo, sh_degree).image.clamp(0.0, 1.0) - photo.target) ** 2)
        for photo in photos
    ]
    return float(torch.stack([-10.0 * torch.log10(error.clamp(min=1e-10)) for error in errors]).mean())


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
    psnr, ssim, detail = np.mean(rows, axis=0)
    return Quality(float(psnr), float(ssim), float(detail))
