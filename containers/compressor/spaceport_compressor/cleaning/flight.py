"""What cleaning asks of the flight: where it was, what its photos know of the ground, what they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.judging.contributions import Contributions, contributions
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians

# Longer side of the renders that tell who paints what, pixels: a floater shows in small ones, too.
LONGEST = 480


@dataclass(frozen=True)
class Flight:
    """The cameras of the photos trained on, at least one; and SfM's points, (M, 3), M at least one."""

    cameras: tuple[Camera, ...]
    points: NDArray[np.floating]

    @property
    def positions(self) -> NDArray[np.float64]:
        """(V, 3), metres."""
        return np.array([camera.position for camera in self.cameras])

    def shows(self, gaussians: Gaussians) -> Contributions:
        """What its photos, made small, show of `gaussians`."""
        return contributions(gaussians, [_small(camera) for camera in self.cameras])

    def shows_any(self, gaussians: Gaussians) -> bool:
        """Whether any of its photos shows any of `gaussians`; mostly the first that is looked at does."""
        return any(contributions(gaussians, [_small(camera)]).pixels.any() for camera in self.cameras)


def _small(camera: Camera) -> Camera:
    shrink = min(1.0, LONGEST / max(camera.width, camera.height))
    return camera.resized(max(1, round(camera.width * shrink)), max(1, round(camera.height * shrink)))


def least_shown(
    suspects: NDArray[np.bool_], painted: NDArray[np.floating], pixels: float
) -> NDArray[np.bool_]:
    """Those of `suspects` (N,) that paint least: as many as together paint at most `pixels`.

    So a rule that is wrong about a scene can't harm its pictures.

    Args:
        painted: (N,) pixels that each Gaussian paints.
    """
    order = np.flatnonzero(suspects)
    order = order[np.argsort(painted[order], kind="stable")]
    result = np.zeros_like(suspects)
    result[order[np.cumsum(painted[order], dtype=np.float64) <= pixels]] = True
    return result
