"""How much of the photos each Gaussian paints: its blend weights, summed over their pixels.

An image is linear in the Gaussians' colours, and the factor of each in a pixel is its blend weight, alpha ×
transmittance. So the gradient of the image's sum by a colour is that Gaussian's weights, summed: the
rasterizer's way back tells them, as it does while training (`spaceport_gaussian.contributions`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_render.camera import Camera
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.numba_rasterizer import Splats, Viewpoint, as_kernels_take, differentiate, draw
from spaceport_render.spherical_harmonics import SH_0

SMALLEST_CONIC = 1e-12  # of a conic's determinant: a footprint of a million pixels; rounding may leave less
SHOWN = 1.0  # pixels that a Gaussian must paint for a photo to count as showing it


@dataclass(frozen=True)
class Contributions:
    """What several photos show of each Gaussian.

    Attributes:
        pixels: (N,) how many pixels it paints in all photos together, each counted by its blend weight.
        most: (N,) how many in the photo that shows it best.
        photos: (N,) how many photos show it: in which it paints SHOWN pixels or more.
        alone: (N,) how many pixels it would paint in all of them with nothing before it, and none cut off
            by a photo's edge.
        of: how many photos those are.
    """

    pixels: NDArray[np.float64]
    most: Floats
    photos: NDArray[np.int64]
    alone: NDArray[np.float64]
    of: int


def contributions(gaussians: Gaussians, cameras: Collection[Camera]) -> Contributions:
    """What photos from `cameras` show of `gaussians`; costs about three renders a camera."""
    count = len(gaussians)
    # Without colours (a coefficient of 0 is grey): where one is cut off below, it would have no gradient.
    grey = Splats(
        means=as_kernels_take(gaussians.means),
        quats=as_kernels_take(gaussians.quats),
        scales=as_kernels_take(gaussians.scales),
        opacities=as_kernels_take(gaussians.opacities),
        sh_dc=np.zeros((count, 1, 3), np.float32),
        sh_rest=np.zeros((count, 0, 3), np.float32),
    )
    black = np.zeros(3, np.float32)
    pixels, alone, most = np.zeros(count), np.zeros(count), np.zeros(count, np.float32)
    photos = np.zeros(count, np.int64)
    for camera in cameras:
        viewpoint = Viewpoint.of(camera.world_to_camera, camera.intrinsics, camera.width, camera.height)
        drawing = draw(grey, viewpoint, 0, black, antialiased=gaussians.antialiased)
        by_red = np.zeros_like(drawing.image)
        by_red[..., 0] = 1
        by_alpha, mode = np.zeros_like(drawing.alpha), gaussians.antialiased
        gradients = differentiate(drawing, grey, viewpoint, 0, black, by_red, by_alpha, antialiased=mode)
        painted = gradients.sh_dc[:, 0, 0] / SH_0
        pixels += painted
        np.maximum(most, painted, out=most)
        photos += painted >= SHOWN
        alone[drawing.drawn] += _integrals(drawing.footprints)
    return Contributions(pixels, most, photos, alone, len(cameras))


def _integrals(footprints: NDArray[np.void]) -> NDArray[np.float64]:
    """The opacity of each of `footprints` (FOOTPRINT) summed over an endless picture's pixels."""
    xx, xy, yy = (footprints[name].astype(np.float64) for name in ("conic_xx", "conic_xy", "conic_yy"))
    return 2 * np.pi * footprints["opacity"] / np.sqrt(np.maximum(xx * yy - xy**2, SMALLEST_CONIC))
