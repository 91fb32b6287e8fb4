"""Differentiable rendering of 3D Gaussians: one function, by gsplat on CUDA and by Numba on the CPU."""

# ruff: noqa: PLR0917 - the arguments are gsplat's, in gsplat's order

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spaceport_render.numba_rasterizer import (
    SplatGradients,
    Splats,
    Viewpoint,
    as_kernels_take,
    differentiate,
    draw,
)
from spaceport_render.spherical_harmonics import MAX_DEGREE


class MeanGradients(NamedTuple):
    """The loss's gradient by the Gaussians' centres on the image, pixels⁻¹; zero where not drawn.

    Attributes:
        signed: (N, 2) x and y; what densification by Kerbl et al. (2023) looks at.
        absolute: (N, 2) the same with each pixel's share taken absolutely (AbsGS, Ye et al. 2024).
    """

    signed: Tensor
    absolute: Tensor


@dataclass(frozen=True)
class Rasterization:
    """What `rasterize` returns.

    Attributes:
        image: (H, W, 3), not clipped to 1. alpha: (H, W), what share of the background is hidden.
        radii: (N,) int32, half sizes of the Gaussians on the image, pixels; 0: not drawn.
        mean_gradients: call it after `backward()`; RuntimeError before.
    """

    image: Tensor
    alpha: Tensor
    radii: Tensor
    mean_gradients: Callable[[], MeanGradients]


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    sh: Tensor | tuple[Tensor, Tensor],
    world_to_camera: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    *,
    sh_degree: int,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    antialiased: bool = False,
) -> Rasterization:
    """Draws N Gaussians as one camera sees them; differentiable by the first five arguments.

    The rules are gsplat's (and nearly Inria's): footprints blurred by 0.3 pixels², alpha at most 0.999,
    nothing drawn below an alpha of 1/255, a pixel finished at a transmittance of 10⁻⁴. Gaussians behind
    the camera or with values that are not finite are not drawn and get zero gradients.

    Args:
        means: (N, 3) world coordinates. All tensors are float32, on one device, which picks the backend.
        quats: (N, 4) w x y z, of any length but 0.
        scales: (N, 3) standard deviations along the own axes.
        opacities: (N,) 0 to 1.
        sh: (N, K, 3) spherical harmonics; K may be more than `sh_degree` needs: the rest gets no gradient.
            Or the first and the others apart, (N, 1, 3) and (N, K - 1, 3), as they are learnt: to put them
            together and take the gradients apart takes the CPU as long as all it computes for colours.
        world_to_camera: (4, 4) rigid; the camera looks along z, y points down.
        intrinsics: (3, 3), pixels; the first pixel's centre is (0.5, 0.5).
        sh_degree: 0 to 3.
        antialiased: let the blur take from a footprint's opacity what it adds to its area: Mip-Splatting's 2D
            filter (Yu et al., CVPR 2024). Viewers draw without unless they are told, and a splat that was
            trained with it then looks thicker and hazier than it is, so it is off by default.

    Raises:
        ValueError: when shapes, types or devices don't fit.
    """
    sh_dc, sh_rest = sh if isinstance(sh, tuple) else (sh[:, :1], sh[:, 1:])
    _require_fitting(means, quats, scales, opacities, sh_dc, sh_rest, sh_degree)
    if means.is_cuda:
        from spaceport_render.gsplat_rasterizer import rasterize_with_gsplat  # noqa: PLC0415 - compiles CUDA

        # Bands above the degree are cut off, so that no time goes into their zero gradients.
        bands = (sh_dc, sh_rest[:, : (sh_degree + 1) ** 2 - 1]) if sh_degree else (sh_dc,)
        image, alpha, radii, mean_gradients = rasterize_with_gsplat(
            means,
            quats,
            scales,
            opacities,
            torch.cat(bands, dim=1),
            world_to_camera,
            intrinsics,
            width,
            height,
            sh_degree=sh_degree,
            background=background,
            antialiased=antialiased,
        )
        return Rasterization(image, alpha, radii, lambda: MeanGradients(*mean_gradients()))
    viewpoint = Viewpoint.of(world_to_camera.detach().numpy(), intrinsics.detach().numpy(), width, height)
    call = _Call(viewpoint, sh_degree, np.array(background, np.float32), antialiased)
    image, alpha, radii = _NumbaRasterization.apply(means, quats, scales, opacities, sh_dc, sh_rest, call)
    return Rasterization(image, alpha, radii, call.mean_gradients)


class _Call:
    """One rasterization's settings, and the place where its backward pass leaves the 2D gradients."""

    def __init__(
        self, viewpoint: Viewpoint, sh_degree: int, background: np.ndarray, antialiased: bool
    ) -> None:
        self.viewpoint = viewpoint
        self.sh_degree = sh_degree
        self.background = background
        self.antialiased = antialiased
        self.gradients: SplatGradients | None = None

    def mean_gradients(self) -> MeanGradients:
        if self.gradients is None:
            raise RuntimeError("call backward() first: it makes the gradients of the 2D means")
        return MeanGradients(
            torch.from_numpy(self.gradients.means2d), torch.from_numpy(self.gradients.means2d_absolute)
        )


class _NumbaRasterization(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        sh_dc: Tensor,
        sh_rest: Tensor,
        call: _Call,
    ) -> tuple[Tensor, Tensor, Tensor]:
        splats = _splats(means, quats, scales, opacities, sh_dc, sh_rest)
        drawing = draw(splats, call.viewpoint, call.sh_degree, call.background, antialiased=call.antialiased)
        # Kept by torch, so that changing a parameter before backward() is an error, not a wrong gradient.
        ctx.save_for_backward(means, quats, scales, opacities, sh_dc, sh_rest)
        ctx.drawing, ctx.call = drawing, call
        radii = torch.from_numpy(drawing.radii)
        ctx.mark_non_differentiable(radii)
        return torch.from_numpy(drawing.image), torch.from_numpy(drawing.alpha), radii

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, to_image: Tensor, to_alpha: Tensor, _to_radii: Tensor
    ) -> tuple[Tensor | None, ...]:
        call: _Call = ctx.call
        gradients = differentiate(
            ctx.drawing,
            _splats(*ctx.saved_tensors),
            call.viewpoint,
            call.sh_degree,
            call.background,
            as_kernels_take(to_image.numpy()),
            as_kernels_take(to_alpha.numpy()),
            antialiased=call.antialiased,
        )
        call.gradients = gradients
        of = (gradients.means, gradients.quats, gradients.scales, gradients.opacities, gradients.sh_dc)
        # Bands that were not asked for get none, rather than zeros: so an optimiser does not count the step.
        to_sh_rest = torch.from_numpy(gradients.sh_rest) if call.sh_degree else None
        return (*map(torch.from_numpy, of), to_sh_rest, None)


def _splats(*tensors: Tensor) -> Splats:
    return Splats(*(as_kernels_take(tensor.detach().numpy()) for tensor in tensors))


def _require_fitting(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    sh_dc: Tensor,
    sh_rest: Tensor,
    sh_degree: int,
) -> None:
    if not 0 <= sh_degree <= MAX_DEGREE:
        raise ValueError(f"sh_degree must be 0 to {MAX_DEGREE}, not {sh_degree}")
    count, coefficients = len(means), (sh_degree + 1) ** 2
    wanted = {"means": (count, 3), "quats": (count, 4), "scales": (count, 3), "opacities": (count,)}
    given = {"means": means, "quats": quats, "scales": scales, "opacities": opacities}
    for name, shape in wanted.items():
        if given[name].shape != shape:
            raise ValueError(f"{name} must have the shape {shape}, not {tuple(given[name].shape)}")
    if (
        sh_dc.shape != (count, 1, 3)
        or sh_rest.shape[::2] != (count, 3)
        or 1 + sh_rest.shape[1] < coefficients
    ):
        raise ValueError(
            f"sh must have the shape ({count}, {coefficients} or more, 3), the first apart from the others "
            f"or not; these have {tuple(sh_dc.shape)} and {tuple(sh_rest.shape)}"
        )
    for name, tensor in {**given, "sh": sh_dc, "sh beyond the first": sh_rest}.items():
        if tensor.dtype != torch.float32 or tensor.device != means.device:
            raise ValueError(
                f"{name} must be float32 on {means.device}, not {tensor.dtype} on {tensor.device}"
            )
