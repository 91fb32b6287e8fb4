"""The CPU rasterizer on NumPy arrays: draws Gaussians and differentiates what it drew. Knows no torch.

project → colour → sort by depth into the tiles that each footprint touches → composite, and back.
Two runs on one machine give the same bits, whatever the number of threads.
"""

# ruff: noqa: PLR0917 - a differentiable call repeats the arguments of its forward pass

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_render.compositing import (
    PIXELS,
    TILE_HEIGHT,
    TILE_WIDTH,
    composite,
    composite_backward,
    sum_by_footprint,
)
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.projection import FOOTPRINT, FOOTPRINT_GRADIENT, Lens, project, project_backward
from spaceport_render.spherical_harmonics import color, color_backward
from spaceport_render.threads import run_over
from spaceport_render.tiles import Touches, find_touches

# Fainter is not drawn: half of what an 8-bit image could show, and gsplat's value.
ALPHA_CUT = np.float32(1 / 255)
# Tiles differ in work by a factor of ten: cut finely enough that all cores finish together.
TILE_RANGES_PER_CORE = 4


@dataclass(frozen=True)
class Splats:
    """Activated Gaussians: contiguous, writeable float32 arrays, as the kernels take them.

    Only `sh_dc` and `sh_rest` may be views of an array that holds both: a copy is most of a model's memory.

    Attributes:
        means: (N, 3). quats: (N, 4), any length. scales: (N, 3), standard deviations, metres.
        opacities: (N,), 0 to 1.
        sh_dc, sh_rest: (N, 1, 3) and (N, K - 1, 3), the constant colour and the view-dependent bands.
    """

    means: Floats
    quats: Floats
    scales: Floats
    opacities: Floats
    sh_dc: Floats
    sh_rest: Floats

    @classmethod
    def of(cls, gaussians: Gaussians) -> Splats:
        """From a model as files hold it."""
        sh = as_kernels_take(gaussians.sh)
        return cls(
            means=as_kernels_take(gaussians.means),
            quats=as_kernels_take(gaussians.quats),
            scales=as_kernels_take(gaussians.scales),
            opacities=as_kernels_take(gaussians.opacities),
            sh_dc=sh[:, :1],
            sh_rest=sh[:, 1:],
        )


@dataclass(frozen=True)
class Viewpoint:
    """A camera as the kernels take it.

    Attributes:
        world_to_camera: (4, 4) float32.
        position: (3,) float32, the camera in the world.
    """

    world_to_camera: Floats
    position: Floats
    lens: Lens
    width: int
    height: int

    @classmethod
    def of(
        cls, world_to_camera: NDArray[np.floating], intrinsics: NDArray[np.floating], width: int, height: int
    ) -> Viewpoint:
        """From (4, 4) and (3, 3) matrices of any float type."""
        rotation, translation = world_to_camera[:3, :3], world_to_camera[:3, 3]
        fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
        return cls(
            world_to_camera=as_kernels_take(world_to_camera),
            position=as_kernels_take(-rotation.T @ translation),
            lens=Lens(*(np.float32(value) for value in (fx, fy, cx, cy, width, height))),
            width=width,
            height=height,
        )


@dataclass(frozen=True)
class Drawing:
    """An image, and what is needed to differentiate it.

    Attributes:
        image: (H, W, 3). alpha: (H, W), what share of the background is hidden.
        radii: (N,) int32, half sizes of the footprints, pixels; 0: not drawn.
        drawn: (V,) the Gaussians that were drawn, by index; `footprints` has a row for each.
    """

    image: Floats
    alpha: Floats
    radii: NDArray[np.int32]
    drawn: NDArray[np.int64]
    footprints: NDArray[np.void]
    touches: Touches
    transmittance: Floats
    finished: Floats


@dataclass(frozen=True)
class SplatGradients:
    """The loss's gradient by each parameter, shaped like `Splats`.

    Attributes:
        means2d: (N, 2), by the centres on the image, pixels⁻¹.
        means2d_absolute: (N, 2), the same with each pixel's share taken absolutely (AbsGS, Ye et al. 2024):
            shares that pull a large Gaussian apart no longer cancel.
    """

    means: Floats
    quats: Floats
    scales: Floats
    opacities: Floats
    sh_dc: Floats
    sh_rest: Floats
    means2d: Floats
    means2d_absolute: Floats


def as_kernels_take(array: NDArray[np.floating]) -> Floats:
    """`array`, or a copy: float32, contiguous, writeable (Numba compiles read-only arrays separately)."""
    return np.require(array, np.float32, ["C", "W"])


def draw(
    splats: Splats, viewpoint: Viewpoint, sh_degree: int, background: Floats, *, antialiased: bool = False
) -> Drawing:
    """Renders `splats`. Gaussians that are not finite, or have a zero quaternion, are not drawn."""
    count = len(splats.means)
    across, down = math.ceil(viewpoint.width / TILE_WIDTH), math.ceil(viewpoint.height / TILE_HEIGHT)
    footprints = np.empty(count, FOOTPRINT)
    radii = np.empty(count, np.int32)
    run_over(
        count,
        project,
        splats.means,
        splats.quats,
        splats.scales,
        splats.opacities,
        viewpoint.world_to_camera,
        viewpoint.lens,
        ALPHA_CUT,
        antialiased,
        footprints,
        radii,
    )
    drawn = np.flatnonzero(radii)
    footprints = footprints[drawn]
    run_over(
        len(drawn),
        color,
        drawn,
        splats.means,
        splats.sh_dc,
        splats.sh_rest,
        viewpoint.position,
        sh_degree,
        footprints,
    )
    touches = find_touches(footprints, across, down, TILE_WIDTH, TILE_HEIGHT)
    image = np.empty((viewpoint.height, viewpoint.width, 3), np.float32)
    alpha = np.empty((viewpoint.height, viewpoint.width), np.float32)
    transmittance = np.empty((across * down, PIXELS), np.float32)
    finished = np.empty((across * down, PIXELS), np.float32)
    run_over(
        across * down,
        composite,
        footprints,
        touches.tile_start,
        touches.footprint,
        touches.rows,
        across,
        ALPHA_CUT,
        background,
        image,
        alpha,
        transmittance,
        finished,
        ranges_per_core=TILE_RANGES_PER_CORE,
    )
    return Drawing(image, alpha, radii, drawn, footprints, touches, transmittance, finished)


def differentiate(
    drawing: Drawing,
    splats: Splats,
    viewpoint: Viewpoint,
    sh_degree: int,
    background: Floats,
    to_image: Floats,
    to_alpha: Floats,
    *,
    antialiased: bool = False,
) -> SplatGradients:
    """The gradient of a loss by `splats`, given its gradient by `drawing`'s image and alpha.

    The other arguments are those that `drawing` was made with.
    """
    drawn, footprints = drawing.drawn, drawing.footprints
    gradients = _by_footprint(drawing, viewpoint, background, to_image, to_alpha)
    result = SplatGradients(
        means=np.zeros_like(splats.means),
        quats=np.zeros_like(splats.quats),
        scales=np.zeros_like(splats.scales),
        opacities=np.zeros_like(splats.opacities),
        sh_dc=np.zeros_like(splats.sh_dc),
        sh_rest=np.zeros_like(splats.sh_rest),
        means2d=np.zeros((len(splats.means), 2), np.float32),
        means2d_absolute=np.zeros((len(splats.means), 2), np.float32),
    )
    run_over(
        len(drawn),
        project_backward,
        drawn,
        splats.means,
        splats.quats,
        splats.scales,
        splats.opacities,
        viewpoint.world_to_camera,
        viewpoint.lens,
        antialiased,
        footprints,
        gradients,
        result.means,
        result.quats,
        result.scales,
        result.opacities,
        result.means2d,
        result.means2d_absolute,
    )
    run_over(
        len(drawn),
        color_backward,
        drawn,
        splats.means,
        splats.sh_rest,
        viewpoint.position,
        sh_degree,
        footprints,
        gradients,
        result.means,
        result.sh_dc,
        result.sh_rest,
    )
    return result


def _by_footprint(
    drawing: Drawing, viewpoint: Viewpoint, background: Floats, to_image: Floats, to_alpha: Floats
) -> NDArray[np.void]:
    """(V,) FOOTPRINT_GRADIENT."""
    touches = drawing.touches
    across = math.ceil(viewpoint.width / TILE_WIDTH)
    # Zeros: pairs behind the point where their tile was finished are never written.
    by_slot = np.zeros(len(touches.slot), FOOTPRINT_GRADIENT)
    run_over(
        len(touches.tile_start) - 1,
        composite_backward,
        drawing.footprints,
        touches.tile_start,
        touches.footprint,
        touches.rows,
        touches.slot,
        across,
        ALPHA_CUT,
        background,
        drawing.transmittance,
        drawing.finished,
        to_image,
        to_alpha,
        by_slot,
        ranges_per_core=TILE_RANGES_PER_CORE,
    )
    sums = np.empty(len(drawing.drawn), FOOTPRINT_GRADIENT)
    fields = len(FOOTPRINT_GRADIENT.names or ())
    run_over(
        len(sums),
        sum_by_footprint,
        touches.footprint_start,
        by_slot.view(np.float32).reshape(-1, fields),
        sums.view(np.float32).reshape(-1, fields),
    )
    return sums
