"""Seeds where SfM is blind: canopy, water and lawns give few points or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from spaceport_render.camera import Camera
from spaceport_render.scene import View

Floats = NDArray[np.float64]

# Nearest points in the image whose depths a gap borrows; a few more than 3, so that one stray counts little.
NEIGHBOURS = 8
# Nearer than this share of the median depth is a stray point before the lens, not the scene.
NEAREST_DEPTH = 0.05


@dataclass(frozen=True)
class GapSeeding:
    """Lays a coarse grid over each photo and puts a seed into every cell that no point falls into.

    A seed takes its colour from the photo and its depth from the SfM points around it. It is wrong by as
    much as the canopy rises over the ground, but near enough for training to move it; without it the
    gap is filled by stretching the Gaussians at its rim. Ours; akin to the error-driven sampling along
    rays in Bulò et al. 2024 (Revising Densification) and to Taming 3DGS.

    Attributes:
        cells: of the grid, along the photo's longer side.
    """

    cells: int = 48

    def seed(
        self, views: Sequence[View], points: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """New points (M, 3), metres, and their colours (M, 3); each view sees those of the views before."""
        known = points.astype(np.float64)
        seeds, colors = [np.empty((0, 3))], [np.empty((0, 3), dtype=np.uint8)]
        for view in views:
            made, painted = self._fill(view, known, len(points))
            known = np.concatenate([known, made])
            seeds.append(made)
            colors.append(painted)
        return np.concatenate(seeds).astype(np.float32), np.concatenate(colors)

    def _fill(self, view: View, known: Floats, measured: int) -> tuple[Floats, NDArray[np.uint8]]:
        """The seeds of one view; the first `measured` of the `known` points have a trusted depth."""
        grid = self._grid(view)
        camera = view.camera.resized(*grid.size)  # a pixel of this camera is a cell
        pixels, depths, inside = _project(camera, known)
        trusted = inside[:measured]
        if trusted.sum() < NEIGHBOURS:  # nothing to borrow a depth from
            return np.empty((0, 3)), np.empty((0, 3), dtype=np.uint8)
        is_empty = np.ones((camera.height, camera.width), dtype=bool)
        columns, rows = np.floor(pixels[inside]).astype(int).T
        is_empty[rows, columns] = False
        rows, columns = np.nonzero(is_empty)
        cells = np.column_stack([columns, rows]) + 0.5
        depth = _borrowed_depth(cells, pixels[:measured][trusted], depths[:measured][trusted])
        return _unproject(camera, cells, depth), np.asarray(grid)[rows, columns]

    def _grid(self, view: View) -> Image.Image:
        """The photo with one pixel for each cell, the mean of its colours."""
        longer = max(view.camera.width, view.camera.height)
        width = max(1, round(view.camera.width * self.cells / longer))
        height = max(1, round(view.camera.height * self.cells / longer))
        return Image.fromarray(view.pixels).resize((width, height), Image.Resampling.BOX)


def _project(camera: Camera, points: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Pixels (N, 2), depths (N,) in metres, and which of the points are in the picture."""
    seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    depths = seen[:, 2]
    in_front = depths > 0
    typical = np.median(depths[in_front]) if in_front.any() else 0.0
    in_front &= depths > NEAREST_DEPTH * typical
    image = np.where(in_front[:, None], seen, 1.0) @ camera.intrinsics.T
    pixels = image[:, :2] / image[:, 2:]
    inside = in_front & (pixels >= 0).all(axis=1) & (pixels < [camera.width, camera.height]).all(axis=1)
    return pixels, depths, inside


def _borrowed_depth(cells: Floats, pixels: Floats, depths: Floats) -> Floats:
    """For each of `cells` the depth of the points around it, nearer ones weighing more.

    Inverse depths are averaged, for they are what is linear over the image of a plane.
    """
    distances, nearest = cKDTree(pixels).query(cells, k=NEIGHBOURS)
    weights = 1.0 / np.maximum(distances, 1e-3)
    return weights.sum(axis=1) / (weights / depths[nearest]).sum(axis=1)


def _unproject(camera: Camera, pixels: Floats, depths: Floats) -> Floats:
    rays = np.column_stack(
        [(pixels[:, 0] - camera.cx) / camera.fx, (pixels[:, 1] - camera.cy) / camera.fy, np.ones(len(pixels))]
    )
    in_camera = rays * depths[:, None]
    return (in_camera - camera.world_to_camera[:3, 3]) @ camera.world_to_camera[:3, :3]
