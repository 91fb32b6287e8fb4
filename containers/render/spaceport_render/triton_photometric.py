# ruff: noqa: PLR0917 - a kernel takes its arrays one by one
"""The photometric loss of training and its gradient on CUDA: differences of pixels, and SSIM.

Four launches and a sum; by torch it is eighty, which take the host longer to ask for than the GPU to do.
The window of SSIM (Wang et al. 2004) is a product of two lines: one kernel sums along rows, the next down
columns, where it does all that is left to do, too. What lies between them, 60 bytes a pixel, is still in the
GPU's L2 cache when it is read.

Images are taken as (H, 3·W), as by the CPU's kernels: taps along a row are then 3 apart, those down a column
one row. Beyond the border lies 0.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from spaceport_render import structural_similarity

BLOCK = 512  # elements a program: four warps with four elements a thread
RADIUS = tl.constexpr(structural_similarity.RADIUS)
CHANNELS = tl.constexpr(structural_similarity.CHANNELS)
C1 = tl.constexpr(float(structural_similarity.C1))
C2 = tl.constexpr(float(structural_similarity.C2))


class Weights(NamedTuple):
    """Of the terms of the loss: mean |difference|, mean squared difference, and 1 - SSIM."""

    absolute: float
    squared: float
    structure: float


def photometric_loss(image: Tensor, photo: Tensor, weights: Weights) -> Tensor:
    """The weighted sum of the terms, a scalar, differentiable by `image`.

    Args:
        image, photo: (H, W, 3) float32, 0 to 1, on one CUDA device, fewer than 2³¹ / 5 elements.

    Raises:
        ValueError: when shapes or types don't fit.
    """
    if image.shape != photo.shape or image.ndim != 3 or image.shape[2] != structural_similarity.CHANNELS:
        raise ValueError(
            f"image and photo must be (H, W, 3) alike, not {tuple(image.shape)} and {tuple(photo.shape)}"
        )
    if image.dtype != torch.float32 or photo.dtype != torch.float32:
        raise ValueError(f"image and photo must be float32, not {image.dtype} and {photo.dtype}")
    loss: Tensor = _Photometric.apply(image, photo, weights)
    return loss


class _Photometric(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, photo: Tensor, weights: Weights) -> Tensor:
        image, photo = image.contiguous(), photo.contiguous()
        size, row = image.numel(), image.shape[1] * image.shape[2]
        grid = (triton.cdiv(size, BLOCK),)
        line = _line(image.device)
        moments = image.new_empty(5, size)
        slopes = image.new_empty(3, size)
        sums = image.new_empty(grid)
        _moments_along_rows[grid](image, photo, line, moments, row, size, BLOCK)
        _compare[grid](image, photo, line, moments, slopes, sums, *weights, row, size, BLOCK)
        ctx.save_for_backward(image, photo, slopes)
        ctx.weights = weights
        return sums.sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, to_loss: Tensor) -> tuple[Tensor, None, None]:
        image, photo, slopes = ctx.saved_tensors
        size, row = image.numel(), image.shape[1] * image.shape[2]
        grid = (triton.cdiv(size, BLOCK),)
        line = _line(image.device)
        along = torch.empty_like(slopes)
        to_image = torch.empty_like(image)
        _slopes_along_rows[grid](slopes, line, along, row, size, BLOCK)
        _gather[grid](image, photo, line, along, to_loss, to_image, *ctx.weights, row, size, BLOCK)
        return to_image, None, None


@cache
def _line(device: torch.device) -> Tensor:
    """(11,) the window along one axis. Kept: a copy to the device would wait for all that was asked of it."""
    return torch.from_numpy(structural_similarity.WINDOW).to(device)


# They change with the photo's size: a kernel compiled anew for those that 16 divides would cost more than it
# saves.
_SIZES = ("row", "size")


@triton.jit(do_not_specialize=_SIZES)
def _moments_along_rows(image, photo, line, moments, row, size, BLOCK: tl.constexpr):
    """Fills `moments` (5, size) with sums under the line: of a, a², a·b, b, b²; a: image, b: photo."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = at % row
    mean_a = tl.zeros([BLOCK], tl.float32)
    mean_aa = tl.zeros([BLOCK], tl.float32)
    mean_ab = tl.zeros([BLOCK], tl.float32)
    mean_b = tl.zeros([BLOCK], tl.float32)
    mean_bb = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(-RADIUS, RADIUS + 1):
        step = k * CHANNELS
        is_there = (at < size) & (x + step >= 0) & (x + step < row)
        weight = tl.load(line + (k + RADIUS))
        a = tl.load(image + at + step, mask=is_there, other=0.0)
        b = tl.load(photo + at + step, mask=is_there, other=0.0)
        mean_a += weight * a
        mean_aa += weight * a * a
        mean_ab += weight * a * b
        mean_b += weight * b
        mean_bb += weight * b * b
    is_inside = at < size
    tl.store(moments + at, mean_a, mask=is_inside)
    tl.store(moments + size + at, mean_aa, mask=is_inside)
    tl.store(moments + 2 * size + at, mean_ab, mask=is_inside)
    tl.store(moments + 3 * size + at, mean_b, mask=is_inside)
    tl.store(moments + 4 * size + at, mean_bb, mask=is_inside)


@triton.jit(do_not_specialize=_SIZES)
def _compare(
    image, photo, line, moments, slopes, sums, absolute, squared, structure, row, size, BLOCK: tl.constexpr
):
    """Sums each block's loss, and fills `slopes` (3, size): SSIM's by the windows' means of a, a², a·b."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a = tl.zeros([BLOCK], tl.float32)
    aa = tl.zeros([BLOCK], tl.float32)
    ab = tl.zeros([BLOCK], tl.float32)
    b = tl.zeros([BLOCK], tl.float32)
    bb = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(-RADIUS, RADIUS + 1):
        there = at + k * row
        is_there = (at < size) & (there >= 0) & (there < size)
        weight = tl.load(line + (k + RADIUS))
        a += weight * tl.load(moments + there, mask=is_there, other=0.0)
        aa += weight * tl.load(moments + size + there, mask=is_there, other=0.0)
        ab += weight * tl.load(moments + 2 * size + there, mask=is_there, other=0.0)
        b += weight * tl.load(moments + 3 * size + there, mask=is_there, other=0.0)
        bb += weight * tl.load(moments + 4 * size + there, mask=is_there, other=0.0)
    # SSIM is the product of how alike the means are, and how alike what lies about them.
    of_means = a * a + b * b + C1
    luminance = (2.0 * a * b + C1) / of_means
    of_spread = (aa - a * a) + (bb - b * b) + C2
    contrast = (2.0 * (ab - a * b) + C2) / of_spread
    by_a = contrast * 2.0 * (b - a * luminance) / of_means + luminance * 2.0 * (a * contrast - b) / of_spread
    is_inside = at < size
    tl.store(slopes + at, by_a, mask=is_inside)
    tl.store(slopes + size + at, -luminance * contrast / of_spread, mask=is_inside)
    tl.store(slopes + 2 * size + at, 2.0 * luminance / of_spread, mask=is_inside)

    difference = tl.load(image + at, mask=is_inside, other=0.0)
    difference -= tl.load(photo + at, mask=is_inside, other=0.0)
    loss = absolute * tl.abs(difference) + squared * difference * difference
    loss += structure * (1.0 - luminance * contrast)
    tl.store(sums + tl.program_id(0), tl.sum(tl.where(is_inside, loss, 0.0)) / size)


@triton.jit(do_not_specialize=_SIZES)
def _slopes_along_rows(slopes, line, along, row, size, BLOCK: tl.constexpr):
    """Sums the three `slopes` under the line, each row along itself."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = at % row
    by_a = tl.zeros([BLOCK], tl.float32)
    by_aa = tl.zeros([BLOCK], tl.float32)
    by_ab = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(-RADIUS, RADIUS + 1):
        step = k * CHANNELS
        is_there = (at < size) & (x + step >= 0) & (x + step < row)
        weight = tl.load(line + (k + RADIUS))
        by_a += weight * tl.load(slopes + at + step, mask=is_there, other=0.0)
        by_aa += weight * tl.load(slopes + size + at + step, mask=is_there, other=0.0)
        by_ab += weight * tl.load(slopes + 2 * size + at + step, mask=is_there, other=0.0)
    is_inside = at < size
    tl.store(along + at, by_a, mask=is_inside)
    tl.store(along + size + at, by_aa, mask=is_inside)
    tl.store(along + 2 * size + at, by_ab, mask=is_inside)


@triton.jit(do_not_specialize=_SIZES)
def _gather(
    image, photo, line, along, to_loss, to_image, absolute, squared, structure, row, size, BLOCK: tl.constexpr
):
    """The loss's gradient by the image: what each window asks of a pixel, and what its difference does."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    by_a = tl.zeros([BLOCK], tl.float32)
    by_aa = tl.zeros([BLOCK], tl.float32)
    by_ab = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(-RADIUS, RADIUS + 1):
        there = at + k * row
        is_there = (at < size) & (there >= 0) & (there < size)
        weight = tl.load(line + (k + RADIUS))
        by_a += weight * tl.load(along + there, mask=is_there, other=0.0)
        by_aa += weight * tl.load(along + size + there, mask=is_there, other=0.0)
        by_ab += weight * tl.load(along + 2 * size + there, mask=is_there, other=0.0)
    is_inside = at < size
    a = tl.load(image + at, mask=is_inside, other=0.0)
    b = tl.load(photo + at, mask=is_inside, other=0.0)
    difference = a - b
    sign = tl.where(difference > 0, 1.0, tl.where(difference < 0, -1.0, 0.0))
    slope = absolute * sign + 2.0 * squared * difference - structure * (by_a + 2.0 * a * by_aa + b * by_ab)
    tl.store(to_image + at, tl.load(to_loss) * slope / size, mask=is_inside)
