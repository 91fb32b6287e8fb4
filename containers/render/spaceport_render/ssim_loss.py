"""The structural part of 3DGS's loss, 1 - SSIM: by Numba on the CPU, by torch elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spaceport_render import structural_similarity
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
                return cls(photo, _under_window(photo), _under_window(photo * photo))
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
    target = photo if isinstance(photo, SsimTarget) else SsimTarget.of(photo)
    if image.shape != target.photo.shape:
        raise ValueError(
            f"image and photo differ in shape: {tuple(image.shape)}, {tuple(target.photo.shape)}"
        )
    ssim = _NumbaSsim.apply(image, target) if image.device.type == "cpu" else ssim_by_torch(image, target)
    return 1 - ssim


def ssim_by_torch(image: Tensor, target: SsimTarget) -> Tensor:
    """SSIM, a scalar, for any device and float type."""
    a, b = _under_window(image), target.mean
    variance_a = _under_window(image * image) - a * a
    variance_b = target.mean_square - b * b
    covariance = _under_window(image * target.photo) - a * b
    c1, c2 = float(structural_similarity.C1), float(structural_similarity.C2)
    luminance = (2 * a * b + c1) / (a * a + b * b + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean()


def _under_window(image: Tensor) -> Tensor:
    """(H, W, 3): the window's mean at each pixel."""
    window = torch.from_numpy(structural_similarity.WINDOW).to(image)
    channels_first = image.permute(2, 0, 1)[:, None]
    radius = structural_similarity.RADIUS
    across = torch.nn.functional.conv2d(channels_first, window.view(1, 1, 1, -1), padding=(0, radius))
    both = torch.nn.functional.conv2d(across, window.view(1, 1, -1, 1), padding=(radius, 0))
    return both[:, 0].permute(1, 2, 0)


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
