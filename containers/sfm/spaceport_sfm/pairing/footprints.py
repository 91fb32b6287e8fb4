"""Which ground each photo shows, by the drone's own sensors, and how much of it two photos share.

The ground is taken as the level plane at the take-off point, the camera as an ideal pinhole. That is off
by the relief and by the sensors' errors, which is good enough to tell who sees whose ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from spaceport_sfm.photo import Gimbal, Photo
from spaceport_sfm.placement.gps import Floats

# A camera whose yaw, pitch and roll are zero looks north and is level: its x (right), y (down) and
# z (forward) as the columns of a camera-to-world rotation, world axes east, north, up.
LEVEL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
STRAIGHT_DOWN = Gimbal(yaw=0.0, pitch=-90.0)
# Lower, the barometer (it drifts by metres) says nothing of the distance to what is seen.
MIN_HEIGHT_M = 5.0
# Rays of an oblique photo end here, in heights: what lies beyond is seen at 14 degrees or less above
# the ground, too slanted to be recognised from elsewhere.
MAX_REACH = 4.0
# Points each way in which a photo is sampled: overlaps come out to about a tenth.
GRID = 7
# 35-mm equivalent of 24 mm, the usual wide lens of a drone: only a guess of how far a photo reaches.
FALLBACK_FOCAL_BY_WIDTH = 0.7


@dataclass(frozen=True)
class Footprints:
    """The ground that N photos show.

    Attributes:
        points: (N, GRID², 2) where a grid of each photo's pixels meets the ground, metres east and north;
            NaN for those that look into the sky.
        centres: (N, 2) mean of those points; where there are none, the place below the camera.
        views: (N, 3) unit vectors of the viewing directions.
        ground_pixel: (N,) metres on the ground that a pixel covers, roughly.
    """

    cameras: Floats
    rotations: Floats
    focals: Floats
    sizes: Floats
    points: Floats
    centres: Floats
    views: Floats
    ground_pixel: Floats

    def shared(self, first: np.ndarray, second: np.ndarray) -> Floats:
        """Overlap of photos `first` (M,) with `second` (M,), as indices: 0 (none) to 1 (the same ground).

        The geometric mean of either's share of the other: a close-up inside a wide view counts, but for
        less than an equal that shows the same.
        """
        return np.sqrt(self._share(first, second) * self._share(second, first))

    def _share(self, seen_by: np.ndarray, again_by: np.ndarray) -> Floats:
        """Of the ground points of photos `seen_by` (M,), the share that photos `again_by` (M,) show too."""
        points = np.concatenate([self.points[seen_by], np.zeros((len(seen_by), GRID**2, 1))], axis=2)
        rays = np.einsum("mki,mij->mkj", points - self.cameras[again_by, None], self.rotations[again_by])
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = self.focals[again_by, None, None] * rays[..., :2] / rays[..., 2:]
            inside = (np.abs(pixels) <= self.sizes[again_by, None] / 2).all(axis=2) & (rays[..., 2] > 0)
        return inside.mean(axis=1)


def footprints(photos: Sequence[Photo], enu: Floats, heights: Floats) -> Footprints:
    """The ground that `photos` show, from `enu` (N, 2 or 3) metres and `heights` (N,) above the ground.

    A photo without gimbal angles is taken to look straight down, its upper edge north.
    """
    gimbals = [photo.gimbal or STRAIGHT_DOWN for photo in photos]
    # Clockwise about down, then up about right, then clockwise about the view: intrinsic y, x, z.
    turns = Rotation.from_euler("YXZ", [[g.yaw, g.pitch, g.roll] for g in gimbals], degrees=True)
    rotations = LEVEL @ turns.as_matrix()
    cameras = np.column_stack([enu[:, :2], heights])
    sizes = np.array([[photo.width, photo.height] for photo in photos], dtype=float)
    focals = np.array(
        [photo.focal_px or FALLBACK_FOCAL_BY_WIDTH * max(photo.width, photo.height) for photo in photos]
    )
    steps = (np.arange(GRID) + 0.5) / GRID - 0.5
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(1, -1, 2) * sizes[:, None]
    rays = np.concatenate([grid / focals[:, None, None], np.ones((len(photos), GRID**2, 1))], axis=2)
    rays = np.einsum("nki,nji->nkj", rays, rotations)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(rays[..., 2] < 0, -heights[:, None] / rays[..., 2], np.nan)
    offsets = rays[..., :2] * reach[..., None]
    offsets[np.linalg.norm(offsets, axis=2) > MAX_REACH * heights[:, None]] = np.nan
    points = cameras[:, None, :2] + offsets
    seen = np.isfinite(points).all(axis=2)
    counts = seen.sum(axis=1)
    sums = np.where(seen[..., None], points, 0.0).sum(axis=1)
    centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], cameras[:, :2])
    distances = np.hypot(np.linalg.norm(centres - cameras[:, :2], axis=1), heights)
    return Footprints(
        cameras, rotations, focals, sizes, points, centres, rotations[:, :, 2], distances / focals
    )


def heights_above_ground(photos: Sequence[Photo]) -> Floats:
    """(N,) metres above the take-off point; NaN where neither barometer nor GPS altitude tell.

    Where only some photos have the barometer's height, the others' is their altitude above the ground
    that those imply.
    """
    relative = np.array([np.nan if p.relative_altitude is None else p.relative_altitude for p in photos])
    altitude = np.array(
        [np.nan if p.position is None or p.position.alt is None else p.position.alt for p in photos]
    )
    both = np.isfinite(relative) & np.isfinite(altitude)
    ground = np.median((altitude - relative)[both]) if both.any() else np.nan
    heights = np.where(np.isfinite(relative), relative, altitude - ground)
    return np.where(heights >= MIN_HEIGHT_M, heights, np.nan)
