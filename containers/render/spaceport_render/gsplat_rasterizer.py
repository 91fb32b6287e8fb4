# ruff: noqa: PLR0917 - the arguments are gsplat's, in gsplat's order
"""The CUDA rasterizer: gsplat 1.5.3 behind `rasterize`. Importing it needs gsplat, calling it a CUDA device.

It calls gsplat's steps one by one. `gsplat.rasterization` does the same for all that gsplat can do, but
inverts the camera on the device and waits for that. One wait is left, in `isect_tiles`: how many tiles the
footprints touch must be known before there is room for them.

gsplat compiles its kernels on first use unless they were compiled when it was installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from gsplat import (
    fully_fused_projection,
    isect_offset_encode,
    isect_tiles,
    rasterize_to_pixels,
    spherical_harmonics,
)
from torch import Tensor

TILE = 16  # pixels, gsplat's own


def rasterize_with_gsplat(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    sh: Tensor,
    world_to_camera: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    *,
    sh_degree: int,
    background: tuple[float, float, float],
    antialiased: bool,
) -> tuple[Tensor, Tensor, Tensor, Callable[[], tuple[Tensor, Tensor]]]:
    """(image, alpha, radii, mean_gradients) as `rasterize.Rasterization` describes them."""
    view = world_to_camera.to(means)
    # Each is (1, N, ...), of the one camera; all but the radii are undefined where those are 0.
    boxes, means2d, depths, conics, compensations = fully_fused_projection(
        means,
        None,
        quats,
        scales,
        view[None],
        intrinsics.to(means)[None],
        width,
        height,
        calc_compensations=antialiased,
        opacities=opacities,
    )
    radii = boxes.amax(dim=-1)
    is_drawn = radii > 0
    opacities = opacities[None]
    if antialiased:
        opacities = opacities * torch.where(is_drawn, compensations, 0.0)
    if means2d.requires_grad:
        means2d.retain_grad()

    # From the camera, at -Rᵀt, to each centre. R is a rotation: no need to invert it.
    directions = means + view[:3, 3] @ view[:3, :3]
    colors = spherical_harmonics(sh_degree, directions[None], sh[None], masks=is_drawn)
    across, down = math.ceil(width / TILE), math.ceil(height / TILE)
    _, tiles, pairs = isect_tiles(means2d, boxes, depths, TILE, across, down)
    images, alphas = rasterize_to_pixels(
        means2d,
        conics,
        (colors + 0.5).clamp_min(0.0),
        opacities,
        width,
        height,
        TILE,
        isect_offset_encode(tiles, 1, across, down),
        pairs,
        # None is black. A tensor would be copied to the device, which waits for all that was asked of it.
        backgrounds=means.new_tensor(background)[None] if any(background) else None,
        absgrad=True,
    )

    def mean_gradients() -> tuple[Tensor, Tensor]:
        if means2d.grad is None:
            raise RuntimeError("call backward() first: it makes the gradients of the 2D means")
        return means2d.grad[0], means2d.absgrad[0]

    return images[0], alphas[0, ..., 0], radii[0], mean_gradients
