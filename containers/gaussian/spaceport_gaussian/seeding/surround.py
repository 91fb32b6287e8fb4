"""Ground beyond what the photos show: at the rim of a survey a viewer looks past their edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from spaceport_render.camera import Camera
from spaceport_render.photographed import photographed_corners, photographed_size

Floats = NDArray[np.float64]

# Known points that a new one takes its height and colour from: enough to blur out a single rock.
LENDERS = 32
# A place with no known point within this many spacings is free.
FREE = 0.75


@dataclass(frozen=True)
class Surround:
    """Continues the known ground outwards, ring by ring, each twice as coarse and as broad as the last.

    A new point takes height and colour from the known ones nearest to it on the map (z points up). It is a
    guess, and a blurred one; but what no photo shows must be something, and a black hole is the worst guess.

    Attributes:
        finest: spacing of the first ring's points, as a share of a photo's footprint on the ground.
        rings: how many; four reach 1.4 footprints out.
        breadth: of a ring, in its own spacings.
    """

    finest: float = 1 / 32
    rings: int = 4
    breadth: float = 3.0

    def seed(
        self, cameras: Sequence[Camera], points: NDArray[np.float32], colors: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """New points (M, 3), metres, and their colours (M, 3), around `points` (N, 3) with `colors` (N, 3).

        None where fewer than LENDERS points lie on the ground that the photos show.
        """
        corners = photographed_corners(cameras, float(np.median(points[:, 2])))
        size = photographed_size(corners)
        on_map = (points[:, :2] > corners.min(axis=(0, 1))) & (points[:, :2] < corners.max(axis=(0, 1)))
        is_near = on_map.all(axis=1)  # strays far off would each get rings of their own
        ground = Ground(points[is_near].astype(np.float64), colors[is_near].astype(np.float64))
        known = len(ground.points)
        if known >= LENDERS and size > 0:
            for ring in range(self.rings):
                ground = ground.widened(self.finest * size * 2**ring, self.breadth)
        new_colors = np.clip(np.round(ground.colors[known:]), 0, 255).astype(np.uint8)
        return ground.points[known:].astype(np.float32), new_colors


@dataclass(frozen=True)
class Ground:
    """Points (N, 3), metres, with colours (N, 3) in 0..255."""

    points: Floats
    colors: Floats

    def widened(self, spacing: float, breadth: float) -> Ground:
        """With new points every `spacing` metres of the map, up to `breadth` spacings beyond the known."""
        reach = breadth * spacing
        low, high = self.points[:, :2].min(axis=0) - reach, self.points[:, :2].max(axis=0) + reach
        axes = [np.arange(low[axis], high[axis], spacing) for axis in (0, 1)]
        places = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
        tree = cKDTree(self.points[:, :2])
        nearest, _ = tree.query(places)
        places = places[(nearest > FREE * spacing) & (nearest <= reach)]
        distances, lenders = tree.query(places, k=LENDERS)
        weights = 1.0 / np.maximum(distances, 1e-9) ** 2
        weights /= weights.sum(axis=1, keepdims=True)
        heights = (weights * self.points[lenders, 2]).sum(axis=1)
        return Ground(
            np.concatenate([self.points, np.column_stack([places, heights])]),
            np.concatenate([self.colors, (weights[..., None] * self.colors[lenders]).sum(axis=1)]),
        )
