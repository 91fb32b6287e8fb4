"""Where on the ground the photos look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spaceport_render.camera import Camera

# A ray that meets the ground farther away than this many flying heights is one over the horizon.
FARTHEST = 2.0


def photographed_corners(cameras: Sequence[Camera], ground: float) -> NDArray[np.float64]:
    """(V, 4, 2): where the corners of V photos lie on the plane z = `ground`, metres; z points up."""
    corners = []
    for camera in cameras:
        width, height = camera.width, camera.height
        pixels = np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)
        rays = camera.unproject(pixels, np.ones(4)) - camera.position
        flying = camera.position[2] - ground
        sinking = np.maximum(-rays[:, 2] * np.sign(flying), 1e-9)  # of rays that never meet it: hardly
        sideways = np.maximum(np.linalg.norm(rays[:, :2], axis=1), 1e-9)
        along = np.minimum(abs(flying) / sinking, FARTHEST * abs(flying) / sideways)
        corners.append(camera.position[:2] + rays[:, :2] * along[:, None])
    return np.array(corners)


def photographed_size(corners: NDArray[np.float64]) -> float:
    """How far a usual photo of those `corners` (V, 4, 2) reaches across the ground, metres."""
    return float(np.median(np.ptp(corners, axis=1).max(axis=1)))
