# ruff: noqa: N803, PLR0917 - a kernel takes its arrays one by one, and its constants in capitals
"""What opacity and size cost, with gradients, on CUDA: two launches and a sum instead of twenty-six."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256  # Gaussians a program


def opacity_and_size(
    opacity_logits: Tensor, log_scales: Tensor, is_seen: Tensor, *, opacity: float, scale: float
) -> Tensor:
    """The mean over all Gaussians of `opacity` · opacity + `scale` · mean deviation, 0 for those not seen.

    A scalar, differentiable by the first two.

    Args:
        opacity_logits: (N,) float32, on a CUDA device as all are.
        log_scales: (N, 3) float32.
        is_seen: (N,) bool.
    """
    cost: Tensor = _OpacityAndSize.apply(opacity_logits, log_scales, is_seen, opacity, scale)
    return cost


class _OpacityAndSize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, opacity_logits: Tensor, log_scales: Tensor, is_seen: Tensor, opacity: float, scale: float
    ) -> Tensor:
        size = len(opacity_logits)
        grid = (triton.cdiv(size, BLOCK),)
        sums = opacity_logits.new_empty(grid)
        if size:
            _cost[grid](opacity_logits, log_scales, is_seen, sums, opacity, scale, size, BLOCK)
        ctx.save_for_backward(opacity_logits, log_scales, is_seen)
        ctx.weights = opacity, scale
        return sums.sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, to_cost: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        opacity_logits, log_scales, is_seen = ctx.saved_tensors
        size = len(opacity_logits)
        to_logits, to_scales = torch.empty_like(opacity_logits), torch.empty_like(log_scales)
        if size:
            _slope[triton.cdiv(size, BLOCK),](
                *(opacity_logits, log_scales, is_seen, to_cost, to_logits, to_scales),
                *(*ctx.weights, size, BLOCK),
            )
        return to_logits, to_scales, None, None, None


# Sizes change with every edit: one kernel serves them all.
@triton.jit(do_not_specialize=("size",))
def _cost(logits, log_scales, is_seen, sums, opacity, scale, size, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_inside = at < size
    seen = tl.load(is_seen + at, mask=is_inside, other=0) != 0
    alpha = tl.sigmoid(tl.load(logits + at, mask=is_inside, other=0.0))
    deviations = tl.zeros([BLOCK], tl.float32)
    for axis in tl.static_range(3):
        deviations += tl.exp(tl.load(log_scales + 3 * at + axis, mask=is_inside, other=0.0))
    cost = tl.where(seen, opacity * alpha + scale * deviations / 3.0, 0.0)
    tl.store(sums + tl.program_id(0), tl.sum(cost) / size)


@triton.jit(do_not_specialize=("size",))
def _slope(
    logits, log_scales, is_seen, to_cost, to_logits, to_scales, opacity, scale, size, BLOCK: tl.constexpr
):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_inside = at < size
    seen = tl.load(is_seen + at, mask=is_inside, other=0) != 0
    share = tl.where(seen, tl.load(to_cost) / size, 0.0)
    alpha = tl.sigmoid(tl.load(logits + at, mask=is_inside, other=0.0))
    tl.store(to_logits + at, share * opacity * alpha * (1.0 - alpha), mask=is_inside)
    for axis in tl.static_range(3):
        deviation = tl.exp(tl.load(log_scales + 3 * at + axis, mask=is_inside, other=0.0))
        tl.store(to_scales + 3 * at + axis, share * scale * deviation / 3.0, mask=is_inside)
