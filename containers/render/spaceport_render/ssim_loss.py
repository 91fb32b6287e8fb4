"""The structural part of 3DGS's loss, 1 - SSIM: by Numba on the CPU, by Triton or torch on CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spaceport_render import structural_similarity, triton_kernels
from spaceport_render.numba_rasterizer import as_kernels_take
from spaceport_render.threads import run_over


@dataclass(frozen=True)
class SsimTarget:
    """A photo with the part of SSIM that depends on it alone: worth keeping while it is trained on again.

    It takes 36 bytes a pixel. `ssim_loss` is about a quarter faster with it than with the bare photo.

    Attributes:
        photo, mean, mean_square: (H, W, 3) float32: the photo, and the means of it and of its square
            under the window.
    """

    photo: Tensor
    mean: Tensor
    mean_square: Tensor

    @classmethod
    def of(cls, photo: Tensor) -> SsimTarget:
        """From (H, W, 3), 0 to 1."""
        with torch.no_grad():
            if photo.device.type != "cpu":
                return cls(photo, *_under_window(photo, photo * photo))
            rows = _rows(photo)
            mean, mean_square = np.empty_like(rows), np.empty_like(rows)
            run_over(len(rows), structural_similarity.target_moments, rows, mean, mean_square)
            return cls(photo, _pixels(mean), _pixels(mean_square))


def ssim_loss(image: Tensor, photo: Tensor | SsimTarget) -> Tensor:
    """1 - SSIM, a scalar, differentiable by `image`.

    The window is the standard one (11 × 11, σ = 1.5) at every pixel, with zeros beyond the border, as in
    3DGS's loss; `metrics.ssim`, which judges a model, leaves out windows that reach over the border.

    Args:
        image, photo: (H, W, 3) float32, 0 to 1, on one device.
    """
    if isinstance(photo, Tensor) and triton_kernels.usable_on(image.device):
        from spaceport_render.triton_photometric import Weights, photometric_loss  # noqa: PLC0415

        return photometric_loss(image, photo, Weights(absolute=0.0, squared=0.0, structure=1.0))
    target = photo if isinstance(photo, SsimTarget) else SsimTarget.of(photo)
    if image.shape != target.photo.shape:
        raise ValueError(
            f"image and photo differ in shape: {tuple(image.shape)}, {tuple(target.photo.shape)}"
        )
    ssim = _NumbaSsim.apply(image, target) if image.device.type == "cpu" else ssim_by_torch(image, target)
    return 1 - ssim


def ssim_by_torch(image: Tensor, target: SsimTarget) -> Tensor:
    """SSIM, a scalar, for any device and float type."""
    a, mean_square, mean_product = _under_window(image, image * image, image * target.photo)
    b = target.mean
    variance_a = mean_square - a * a
    variance_b = target.mean_square - b * b
    covariance = mean_product - a * b
    c1, c2 = float(structural_similarity.C1), float(structural_similarity.C2)
    luminance = (2 * a * b + c1) / (a * a + b * b + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean()


def _under_window(*images: Tensor) -> tuple[Tensor, ...]:
    """For each of `images` (H, W, 3) the window's mean at each pixel."""
    planes = torch.cat(images, dim=2).permute(2, 0, 1)[None]
    count = planes.shape[1]
    window = _window(planes.device, planes.dtype).expand(count, 1, 1, -1)
    radius = structural_similarity.RADIUS
    # By channel: torch's own kernels, in full precision. cuDNN's would round to TF32's 10 bits where the GPU
    # has it, and the variances here are small differences.
    across = torch.nn.functional.conv2d(planes, window, padding=(0, radius), groups=count)
    both = torch.nn.functional.conv2d(across, window.mT, padding=(radius, 0), groups=count)
    return both[0].permute(1, 2, 0).split(structural_similarity.CHANNELS, dim=2)


@cache
def _window(device: torch.device, dtype: torch.dtype) -> Tensor:
    """(1, 1, 1, 11). Kept: a copy to the device would wait for all that was asked of it."""
    return torch.from_numpy(structural_similarity.WINDOW).to(device, dtype).view(1, 1, 1, -1)


class _NumbaSsim(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, target: SsimTarget) -> Tensor:
        rows, photo = _rows(image), _rows(target.photo)
        sums = np.empty(len(rows), np.float64)
        slopes = np.empty((3, *rows.shape), np.float32)
        run_over(
            len(rows),
            structural_similarity.similarity,
            rows,
            photo,
            _rows(target.mean),
            _rows(target.mean_square),
            sums,
            slopes,
        )
        ctx.save_for_backward(image)
        ctx.photo, ctx.slopes = photo, slopes
        return torch.tensor(sums.sum() / rows.size, dtype=torch.float32)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, to_ssim: Tensor) -> tuple[Tensor, None]:
        (image,) = ctx.saved_tensors
        rows = _rows(image)
        to_image = np.empty_like(rows)
        scale = np.float32(to_ssim.item() / rows.size)
        run_over(
            len(rows), structural_similarity.similarity_backward, rows, ctx.photo, ctx.slopes, scale, to_image
        )
        return _pixels(to_image), None


def _rows(image: Tensor) -> np.ndarray:
    """(H, W, 3) as the kernels take it, (H, 3·W)."""
    height, width, channels = image.shape
    return as_kernels_take(image.detach().numpy()).reshape(height, width * channels)


def _pixels(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(rows).view(len(rows), -1, structural_similarity.CHANNELS)
