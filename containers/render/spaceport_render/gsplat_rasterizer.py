# ruff: noqa: PLR0917 - the arguments are gsplat's, in gsplat's order
"""The CUDA rasterizer: gsplat 1.5.3 behind `rasterize`. Importing it needs gsplat, calling it a CUDA device.

gsplat compiles its kernels on first use unless they were compiled when it was installed.
"""

from __future__ import annotations

from collections.abc import Callable

from gsplat import rasterization
from torch import Tensor


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
    images, alphas, info = rasterization(
        means,
        quats,
        scales,
        opacities,
        sh,
        world_to_camera.to(means)[None],
        intrinsics.to(means)[None],
        width,
        height,
        sh_degree=sh_degree,
        packed=False,
        absgrad=True,
        rasterize_mode="antialiased" if antialiased else "classic",
        # None is black. A tensor would be copied to the device, which waits for all that was asked of it.
        backgrounds=means.new_tensor(background)[None] if any(background) else None,
    )
    means2d = info["means2d"]  # (1, N, 2), pixels
    if means2d.requires_grad:
        means2d.retain_grad()

    def mean_gradients() -> tuple[Tensor, Tensor]:
        if means2d.grad is None:
            raise RuntimeError("call backward() first: it makes the gradients of the 2D means")
        return means2d.grad[0], means2d.absgrad[0]

    return images[0], alphas[0, ..., 0], info["radii"][0].amax(dim=-1), mean_gradients
