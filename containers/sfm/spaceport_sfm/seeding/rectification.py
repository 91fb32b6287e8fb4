"""Two photos turned so that each point lies in the same row of both (Fusiello, Trucco, Verri 2000).

The rows always run from the first camera to the second: then disparities are positive whichever way the
drone flew and however it held the camera, and a vertical baseline needs no case of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_render.camera import Camera

Floats = NDArray[np.float64]

# Rays farther off the rectified axis than 70° would be stretched 3 × and more.
MIN_FORWARD = 0.34
MAX_STRETCH = 2.5  # of the rectified picture's area: more is one camera flying towards the other
DISPARITY_STEP = 16  # SGBM takes multiples of it
MAX_DISPARITIES = (
    256  # at 640 pixels: beyond, the photos differ too much for a comparison to be worth its time
)
MIN_OVERLAP = 0.05  # of the first photo's area
# How many times nearer than the nearest SfM point and farther than the farthest is looked: crowns without a
# point rise above the ground that has them; little lies below it.
RISE, SINK = 1.35, 1.1


@dataclass(frozen=True)
class Rectification:
    """How `first` and `second` become pictures for a stereo matcher.

    What the first camera sees at (u, v), pixels from the rectified axis, the second sees at (u - d, v)
    with the disparity d = focal · baseline / depth. The first picture begins at (left, top), the second
    `least` pixels farther left: so a matcher finds disparities less `least`, from 0 to `disparities`.

    Attributes:
        rotation: (3, 3) world to rectified frame.
        focal: pixels. baseline: metres.
        left, top: of the first picture, pixels from the axis.
        width, height: of both pictures, pixels.
        least: smallest disparity looked for. disparities: how many.
    """

    first: Camera
    second: Camera
    rotation: Floats
    focal: float
    baseline: float
    left: float
    top: float
    width: int
    height: int
    least: float
    disparities: int

    def homographies(self) -> tuple[Floats, Floats]:
        """(3, 3) each: from pixels of a rectified picture to pixels of the photo, as OpenCV counts both."""
        return (
            self._to_photo(self.first, self.left),
            self._to_photo(self.second, self.left - self.least),
        )

    def depths(self, found: NDArray[np.float32], pixels: Floats) -> Floats:
        """Depths (P,) in metres of `pixels` (P, 2) of the first photo; NaN where there is none.

        Args:
            found: (height, width), the matcher's disparities less `least`; negative where it found none.
        """
        rays = _rays(self.first, pixels) @ self.first.world_to_camera[:3, :3] @ self.rotation.T
        columns = np.rint(self.focal * rays[:, 0] / rays[:, 2] - self.left).astype(int)
        rows = np.rint(self.focal * rays[:, 1] / rays[:, 2] - self.top).astype(int)
        inside = (columns >= 0) & (columns < self.width) & (rows >= 0) & (rows < self.height)
        disparities = np.full(len(pixels), -1.0)
        disparities[inside] = found[rows[inside], columns[inside]]
        total = disparities + self.least
        total[(disparities < 0) | (total <= 0)] = np.nan
        return self.focal * self.baseline / total / rays[:, 2]

    def _to_photo(self, camera: Camera, left: float) -> Floats:
        lift = np.array([[1, 0, left], [0, 1, self.top], [0, 0, self.focal]])
        centre = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])  # OpenCV: the first pixel's centre is 0
        turn = camera.world_to_camera[:3, :3] @ self.rotation.T
        return centre @ camera.intrinsics @ turn @ lift


def rectify(first: Camera, second: Camera, points: Floats) -> Rectification | None:
    """The rectification of two photos; None where they can't be laid side by side.

    That is so when one camera stands before the other, when they look different ways, hardly overlap,
    or when the range of disparities is too wide.

    Args:
        points: (K, 3) metres, what both photos show, for the range of depths to look in.
    """
    way = second.position - first.position
    baseline = float(np.linalg.norm(way))
    axes = first.world_to_camera[2, :3] + second.world_to_camera[2, :3]
    across = np.cross(axes, way)
    if np.linalg.norm(across) <= 1e-6 * baseline:  # also where both were taken from one spot
        return None
    x = way / baseline
    y = across / np.linalg.norm(across)
    rotation = np.array([x, y, np.cross(x, y)])
    focal = (first.fx + first.fy) / 2
    spans = [_span(camera, rotation, focal) for camera in (first, second)]
    if spans[0] is None or spans[1] is None:
        return None
    (low, high), (second_low, second_high) = spans
    depths = (points - first.position) @ rotation[2]
    nearest, farthest = np.percentile(depths, [1, 99])
    if nearest <= 0:
        return None
    least = np.floor(focal * baseline / (farthest * SINK))
    most = focal * baseline / nearest * RISE
    disparities = int(np.ceil((most - least + 1) / DISPARITY_STEP)) * DISPARITY_STEP
    if disparities > MAX_DISPARITIES:
        return None
    left, right = max(low[0], second_low[0] + least), min(high[0], second_high[0] + most)
    top, bottom = max(low[1], second_low[1]), min(high[1], second_high[1])
    area = first.width * first.height
    if (
        right <= left
        or bottom <= top
        or not MIN_OVERLAP < (right - left) * (bottom - top) / area < MAX_STRETCH
    ):
        return None
    left -= disparities  # SGBM leaves so many columns at the left without an answer
    return Rectification(
        first=first,
        second=second,
        rotation=rotation,
        focal=focal,
        baseline=baseline,
        left=float(np.floor(left)),
        top=float(np.floor(top)),
        width=int(np.ceil(right - np.floor(left))),
        height=int(np.ceil(bottom - np.floor(top))),
        least=float(least),
        disparities=disparities,
    )


def _span(camera: Camera, rotation: Floats, focal: float) -> tuple[Floats, Floats] | None:
    """The least and greatest rectified coordinates (u, v) of the photo; None where it reaches too far off."""
    rays = _corner_rays(camera) @ camera.world_to_camera[:3, :3] @ rotation.T
    if (rays[:, 2] < MIN_FORWARD * np.linalg.norm(rays, axis=1)).any():
        return None
    image = focal * rays[:, :2] / rays[:, 2:]
    return image.min(axis=0), image.max(axis=0)


def _corner_rays(camera: Camera) -> Floats:
    across, down = float(camera.width), float(camera.height)
    return _rays(camera, np.array([[0.0, 0.0], [across, 0.0], [0.0, down], [across, down]]))


def _rays(camera: Camera, pixels: Floats) -> Floats:
    """Directions (P, 3) in the camera, 1 deep."""
    return np.column_stack(
        [(pixels[:, 0] - camera.cx) / camera.fx, (pixels[:, 1] - camera.cy) / camera.fy, np.ones(len(pixels))]
    )
