"""Seeds where SfM is blind: canopy, water and lawns give few points or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from spaceport_gaussian.seeding.plane_sweep import Floats, PlaneSweep, SweepView
from spaceport_render.camera import Camera
from spaceport_render.scene import View

# Nearest points in the image whose depths a gap borrows; a few more than 3, so that one stray counts little.
LENDERS = 8
# Nearer than this share of the median depth is a stray point before the lens, not the scene.
NEAREST_DEPTH = 0.05


@dataclass(frozen=True)
class Seeds:
    """Points (M, 3) in metres with their colours (M, 3) in 0..255."""

    points: Floats
    colors: Floats


@dataclass(frozen=True)
class GapSeeding:
    """Lays a coarse grid over each photo and puts a seed into every cell that no point falls into.

    A seed takes its colour from the photo and its depth from a plane sweep; where the sweep is unsure,
    from the points around. Without seeds a gap is filled by stretching the Gaussians at its rim, and a
    canopy is painted onto the ground below it.

    Attributes:
        cells: of the grid, along the photo's longer side.
        sweep: how depths are found.
    """

    cells: int = 24  # 48 let brighton's canopy become needles (docs/ablation.md)
    sweep: PlaneSweep = field(default_factory=PlaneSweep)

    def seed(
        self, views: Sequence[View], points: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """New points (M, 3), metres, and their colours (M, 3); each view sees those of the views before."""
        swept = self.sweep.prepare(views)
        known = Seeds(points.astype(np.float64), np.empty((0, 3)))
        for index, view in enumerate(views):
            known = _joined(known, self._fill(view, swept, index, known.points))
        colors = np.clip(np.round(known.colors), 0, 255).astype(np.uint8)
        return known.points[len(points) :].astype(np.float32), colors

    def _fill(self, view: View, swept: Sequence[SweepView], index: int, known: Floats) -> Seeds:
        """Seeds for the empty cells of one photo."""
        colors = self._grid(view)
        camera = view.camera.resized(colors.shape[1], colors.shape[0])  # a pixel of this camera is a cell
        pixels, depths = project(camera, known)
        cells = _empty_cells(camera, pixels)
        if len(pixels) < LENDERS:  # nothing tells how far away things are
            return Seeds(np.empty((0, 3)), np.empty((0, 3)))
        near, far = np.percentile(depths, [2, 98])  # without strays
        small = swept[index].camera
        in_sweep = cells * [small.width / camera.width, small.height / camera.height]
        found, is_sure = self.sweep.depths(swept, index, in_sweep, near, far)
        lent = borrowed_depth(
            cells, np.concatenate([pixels, cells[is_sure]]), np.concatenate([depths, found[is_sure]])
        )
        columns, rows = cells.astype(int).T
        return Seeds(camera.unproject(cells, np.where(is_sure, found, lent)), colors[rows, columns])

    def _grid(self, view: View) -> Floats:
        """The mean colour of each cell, (rows, columns, 3)."""
        shrink = self.cells / max(view.camera.width, view.camera.height)
        size = (max(1, round(view.camera.width * shrink)), max(1, round(view.camera.height * shrink)))
        small = Image.fromarray(view.pixels).resize(size, Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float64)


def project(camera: Camera, points: Floats) -> tuple[Floats, Floats]:
    """Pixels (M, 2) and depths (M,) in metres of those of `points` (N, 3) that are in the picture."""
    seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    seen = seen[seen[:, 2] > 0]
    seen = seen[seen[:, 2] > NEAREST_DEPTH * np.median(seen[:, 2])] if len(seen) else seen
    image = seen @ camera.intrinsics.T
    pixels = image[:, :2] / image[:, 2:]
    inside = (pixels >= 0).all(axis=1) & (pixels < [camera.width, camera.height]).all(axis=1)
    return pixels[inside], seen[inside, 2]


def borrowed_depth(cells: Floats, pixels: Floats, depths: Floats) -> Floats:
    """For each of `cells` (P, 2) the depth of the points around it, nearer ones weighing more.

    Inverse depths are averaged, for they are what is linear over the image of a plane.
    """
    distances, nearest = cKDTree(pixels).query(cells, k=LENDERS)
    weights = 1.0 / np.maximum(distances, 1e-3)
    return weights.sum(axis=1) / (weights / depths[nearest]).sum(axis=1)


def _empty_cells(camera: Camera, pixels: Floats) -> Floats:
    """The centres (P, 2) of the cells of `camera` that none of `pixels` falls into."""
    is_empty = np.ones((camera.height, camera.width), dtype=bool)
    columns, rows = np.floor(pixels).astype(int).T
    is_empty[rows, columns] = False
    rows, columns = np.nonzero(is_empty)
    return np.column_stack([columns, rows]) + 0.5


def _joined(first: Seeds, second: Seeds) -> Seeds:
    return Seeds(np.concatenate([first.points, second.points]), np.concatenate([first.colors, second.colors]))
