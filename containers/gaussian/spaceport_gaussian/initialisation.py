"""The untrained splat: one Gaussian for each SfM point (Kerbl et al. 2023, section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from spaceport_gaussian.recipe import Recipe
from spaceport_gaussian.splat import Splat
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.scene import Scene, View

PLAIN_OPACITY = 0.1  # Kerbl et al.: low, so that light reaches what lies behind
NEIGHBOURS = 3
# Bounds of the first scale as a share of the scene's extent: doubled points would have size 0,
# a lone far point would cover the scene.
MIN_SCALE, MAX_SCALE = 1e-5, 0.05
SH_C0 = 0.28209479177387814  # the constant basis function, 1 / (2 √π)


def scene_extent(cameras: Sequence[Camera], points: NDArray[np.float32]) -> float:
    """The size of the scene in metres that learning rates and size limits are relative to.

    As in 3DGS: 1.1 × the distance of the outermost camera from the cameras' centre. But never less than
    a fifth of the median distance of the points: a drone that hovers sees more than it flies over, and
    Gaussians held to a share of its way would be dots with holes between them.
    """
    positions = np.array([camera.position for camera in cameras])
    centre = positions.mean(axis=0)
    radius = float(np.linalg.norm(positions - centre, axis=1).max())
    depth = float(np.median(np.linalg.norm(points - centre, axis=1)))
    return 1.1 * max(radius, 0.2 * depth)


def untrained_splat(scene: Scene, recipe: Recipe, *, extent: float, seed: int, device: torch.device) -> Splat:
    """The splat of the SfM points alone, as 3DGS starts: what training is compared with."""
    gaussians = initial_gaussians(
        scene.points,
        scene.colors,
        extent=extent,
        sh_degree=recipe.harmonics.max_degree,
        opacity=PLAIN_OPACITY,
        max_gaussians=recipe.max_gaussians,
        seed=seed,
    )
    return Splat.of_gaussians(gaussians, device)


def starting_splat(
    scene: Scene, views: Sequence[View], recipe: Recipe, *, extent: float, seed: int, device: torch.device
) -> Splat:
    """The splat that training starts from: the SfM points and, where the recipe says so, seeds.

    Dense seeds in which a photo that is not of `views` had a say are left out.

    Args:
        views: the training views; held-out ones must not be looked at.
    """
    points, colors = scene.points, scene.colors
    if recipe.dense_share is not None and scene.seeds is not None:
        dense = scene.seeds.told_by({view.camera.name for view in views})
        dense = dense.spread(round(recipe.dense_share * recipe.max_gaussians))
        points, colors = np.concatenate([points, dense.points]), np.concatenate([colors, dense.colors])
    if recipe.seeding is not None:
        seeds, seed_colors = recipe.seeding.seed(views, points)
        points, colors = np.concatenate([points, seeds]), np.concatenate([colors, seed_colors])
    if recipe.surround is not None:
        seeds, seed_colors = recipe.surround.seed([view.camera for view in views], points, colors)
        points, colors = np.concatenate([points, seeds]), np.concatenate([colors, seed_colors])
    gaussians = initial_gaussians(
        points,
        colors,
        extent=extent,
        sh_degree=recipe.harmonics.max_degree,
        opacity=recipe.initial_opacity,
        max_gaussians=recipe.max_gaussians,
        seed=seed,
    )
    return Splat.of_gaussians(gaussians, device)


def initial_gaussians(
    points: NDArray[np.float32],
    colors: NDArray[np.uint8],
    *,
    extent: float,
    sh_degree: int,
    opacity: float,
    max_gaussians: int,
    seed: int,
) -> Gaussians:
    """One round Gaussian for each point, as wide as the way to its three nearest neighbours.

    Args:
        points: (N, 3) metres; colors: (N, 3).
        extent: of the scene, metres.
        max_gaussians: where there are more points, this many are drawn at random.
        seed: of that draw.
    """
    if len(points) > max_gaussians:
        chosen = np.sort(np.random.default_rng(seed).choice(len(points), max_gaussians, replace=False))
        points, colors = points[chosen], colors[chosen]
    count = len(points)
    scales = np.clip(_spacing(points), MIN_SCALE * extent, MAX_SCALE * extent)
    sh = np.zeros((count, (sh_degree + 1) ** 2, 3), dtype=np.float32)
    sh[:, 0] = (colors / 255.0 - 0.5) / SH_C0
    return Gaussians(
        means=points.astype(np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], dtype=np.float32), (count, 1)),
        log_scales=np.repeat(np.log(scales)[:, None], 3, axis=1).astype(np.float32),
        opacity_logits=np.full(count, np.log(opacity / (1 - opacity)), dtype=np.float32),
        sh=sh,
    )


def _spacing(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """The root mean square distance of each point to its nearest neighbours, metres."""
    neighbours = min(NEIGHBOURS, len(points) - 1)
    distances, _ = cKDTree(points).query(points, k=neighbours + 1)
    return np.sqrt(np.mean(distances[:, 1:] ** 2, axis=1))
