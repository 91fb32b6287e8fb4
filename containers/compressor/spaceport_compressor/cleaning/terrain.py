"""How high the ground, what stands on it, and the drone are, around every place of a survey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.floating]

# SfM's points that tell the heights of a place: in a survey of some thousands they lie within a few metres,
# and a tree, a roof or a lone mistake among them does not hide the ground.
TELLERS = 64
GROUND, TOPS = 5, 98  # percentiles of their heights: SfM errs by far in one of a hundred
CAMERAS = 3  # of the nearest ones the lowest tells how high the drone flew
CELLS = 48  # of the map, across the survey: heights hardly change within one


@dataclass(frozen=True)
class Terrain:
    """Heights at N places, metres.

    Attributes:
        ground, tops: (N,) z of the ground, and of the highest that is known to stand there.
        flown: (N,) from the ground up to the drone; not positive where it did not fly above it.
    """

    ground: Floats
    tops: Floats
    flown: Floats


def terrain_at(places: Floats, points: Floats, cameras: Floats) -> Terrain:
    """What `points` and `cameras` tell of the heights at `places`.

    Args:
        places: (N, 2 or more) x and y.
        points: (M, 3), at least one: SfM's, of the ground and all that stands on it.
        cameras: (V, 3), at least one: where the photos were taken.
    """
    points, cameras = np.asarray(points, np.float64), np.asarray(cameras, np.float64)
    low, high = np.percentile(points[:, :2], [5, 95], axis=0)
    side = max(float((high - low).max()) / CELLS, 1e-6)
    cells, cell = np.unique(np.floor(places[:, :2] / side).astype(np.int64), axis=0, return_inverse=True)
    middles = (cells + 0.5) * side
    _, tellers = cKDTree(points[:, :2]).query(middles, k=range(1, min(TELLERS, len(points)) + 1))
    ground, tops = np.percentile(points[tellers, 2], [GROUND, TOPS], axis=1)
    _, nearest = cKDTree(cameras[:, :2]).query(middles, k=range(1, min(CAMERAS, len(cameras)) + 1))
    flown = cameras[nearest, 2].min(axis=1) - ground
    cell = cell.reshape(-1)
    return Terrain(ground[cell], tops[cell], flown[cell])
