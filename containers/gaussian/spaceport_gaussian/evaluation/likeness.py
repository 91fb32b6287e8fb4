"""How near a splat's renders are to photos at full training size."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spaceport.quality import ViewNumbers
from spaceport_gaussian.evaluation.color_correction import color_corrected
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat
from spaceport_render import metrics
from spaceport_render.threads import available_cores

MOST_DB = 100.0  # stands for the infinite PSNR of equal images, which JSON can't hold


def psnr(render: Tensor, target: Tensor) -> Tensor:
    """The PSNR of two images (H, W, 3), dB, at most MOST_DB: a scalar on their device."""
    least_error = 10 ** (-MOST_DB / 10)
    return -10.0 * torch.log10(torch.mean((render.clamp(0.0, 1.0) - target) ** 2).clamp(min=least_error))


@torch.no_grad()
def mean_psnr(splat: Splat, photos: Sequence[Photo], sh_degree: int | None = None) -> float:
    """The mean PSNR over `photos`, dB, with SH bands up to `sh_degree` (default: all); quick."""
    values = [psnr(splat.render(photo, sh_degree).image, photo.target) for photo in photos]
    return float(torch.stack(values).mean())


def judge(splat: Splat, photos: Sequence[Photo]) -> list[ViewNumbers]:
    """All measures of each of `photos`, with every SH band."""
    cores = available_cores()
    judged: list[ViewNumbers] = []
    # Renders have the device, or all cores, to themselves; SSIM takes one core for as long as ten renders.
    with ThreadPoolExecutor(cores) as pool:
        for first in range(0, len(photos), cores):  # no more renders at a time than are being measured
            batch = photos[first : first + cores]
            judged += pool.map(_numbers, batch, [render_pixels(splat, photo) for photo in batch])
    return judged


@torch.no_grad()
def render_pixels(splat: Splat, photo: Photo) -> NDArray[np.float32]:
    """The splat as the camera of `photo` sees it, (H, W, 3) in 0..1."""
    return splat.render(photo).image.clamp(0.0, 1.0).cpu().numpy()


def _numbers(photo: Photo, render: NDArray[np.float32]) -> ViewNumbers:
    target = photo.target.cpu().numpy()
    return ViewNumbers(
        name=photo.name,
        psnr=min(MOST_DB, metrics.psnr(render, target)),
        psnr_corrected=min(MOST_DB, metrics.psnr(color_corrected(render, target), target)),
        ssim=metrics.ssim(render, target),
        detail=metrics.detail(render, target),
    )
