"""Pictures of a splat without training it: NumPy only, torch is not imported."""

from __future__ import annotations

import numpy as np

from spaceport_render.camera import Camera
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.numba_rasterizer import Splats, Viewpoint, draw


def render(
    gaussians: Gaussians, camera: Camera, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Floats:
    """`gaussians` as `camera` sees them, (H, W, 3) float32: 0 to 1, but not clipped where brighter than 1."""
    viewpoint = Viewpoint.of(camera.world_to_camera, camera.intrinsics, camera.width, camera.height)
    behind = np.array(background, np.float32)
    splats, mode = Splats.of(gaussians), gaussians.antialiased
    return draw(splats, viewpoint, gaussians.sh_degree, behind, antialiased=mode).image
