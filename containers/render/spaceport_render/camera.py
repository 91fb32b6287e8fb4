"""A pinhole camera in COLMAP's and gsplat's convention: x right, y down, z forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Camera:
    """One undistorted view.

    Attributes:
        name: the photo's name in the scene.
        width, height: pixels.
        fx, fy, cx, cy: focal lengths and principal point, pixels; the first pixel's centre is (0.5, 0.5).
        world_to_camera: (4, 4) float64, rigid.
    """

    name: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    world_to_camera: NDArray[np.float64]

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """K, (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    @property
    def position(self) -> NDArray[np.float64]:
        """The centre of projection in world coordinates, (3,)."""
        rotation, translation = self.world_to_camera[:3, :3], self.world_to_camera[:3, 3]
        return -rotation.T @ translation

    def unproject(self, pixels: NDArray[np.float64], depths: NDArray[np.float64]) -> NDArray[np.float64]:
        """World points (P, 3) seen at `pixels` (P, 2), `depths` (P,) metres away along the view."""
        homogeneous = np.column_stack([pixels, np.ones(len(pixels))])
        in_camera = homogeneous @ np.linalg.inv(self.intrinsics).T * depths[:, None]
        return (in_camera - self.world_to_camera[:3, 3]) @ self.world_to_camera[:3, :3]

    def sees(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which of `points` (N, 3) fall into the picture, (N,)."""
        x, y, depth = (points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]).T
        ahead = depth > 0
        safe = np.where(ahead, depth, 1.0)
        across, down = self.fx * x / safe + self.cx, self.fy * y / safe + self.cy
        return ahead & (across >= 0) & (across < self.width) & (down >= 0) & (down < self.height)

    def resized(self, width: int, height: int) -> Camera:
        """The same view in `width` × `height` pixels."""
        across, down = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * across,
            fy=self.fy * down,
            cx=self.cx * across,
            cy=self.cy * down,
        )


def widest_view(cameras: Sequence[Camera], points: NDArray[np.floating]) -> Camera:
    """The camera that sees most of `points` (N, 3), the first of equals: it shows what a scene is."""
    return max(cameras, key=lambda camera: int(camera.sees(points).sum()))
