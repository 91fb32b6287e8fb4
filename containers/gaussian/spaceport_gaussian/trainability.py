"""Whether a scene can be learnt at all: what can't is refused in words, before it costs an hour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spaceport.errors import UserError
from spaceport.scene_check import MIN_PHOTOS, MIN_POINTS, too_few_points
from spaceport_gaussian.photos import MIN_SIDE
from spaceport_render.scene import Scene, View

# The cameras' spread as a share of the way to the points. Below it nothing moves in the photos: a pixel of a
# 1,000-pixel photo at most. SfM wants sixteen times that (COLMAP: 1.5°).
MIN_PARALLAX = 1e-3
# The cameras' distance from the frame's origin, in spreads. Learnt positions are float32 (24 bits): farther
# away they could not tell a thousandth of the spread any more.
MAX_OFFSET = 1e-3 * 2**24
LOOKED_AT = 20_000  # points: enough to find fifty of, and quick in 200 photos


def check_trainable(scene: Scene, views: Sequence[View]) -> None:
    """Raise a UserError where `scene` can't be learnt from.

    Args:
        scene: what SfM made of the photos.
        views: the training views, which are what the held-out ones leave.

    Raises:
        UserError: `too_few_photos`, `too_few_points`, `photos_too_small`, `no_parallax`, or `bad_scene`.
    """
    if len(views) < MIN_PHOTOS:
        raise UserError(
            "too_few_photos",
            f"Training needs at least {MIN_PHOTOS} photos, but only {len(views)} of {len(scene.views)} "
            "can be used for it.",
            "Add overlapping photos, or hold out fewer of them.",
        )
    _require_size(views)
    _require_finite(scene)
    shared = shared_points(scene, views)
    if shared < MIN_POINTS:
        raise too_few_points(shared)
    _require_parallax(scene, views)


def shared_points(scene: Scene, views: Sequence[View]) -> int:
    """How many points lie in two or more of the photos; of very many, those found in a sample of them."""
    points = scene.points[:: max(1, len(scene.points) // LOOKED_AT)]
    seen = np.zeros(len(points), int)
    for view in views:
        seen += view.camera.sees(points)
    return int((seen >= 2).sum())


def _require_size(views: Sequence[View]) -> None:
    smallest = min((view.camera for view in views), key=lambda camera: min(camera.width, camera.height))
    if min(smallest.width, smallest.height) < MIN_SIDE:
        raise UserError(
            "photos_too_small",
            f"{smallest.name} has {smallest.width} × {smallest.height} pixels at the size of the training, "
            f"and {MIN_SIDE} × {MIN_SIDE} are needed.",
            "Use the photos as the camera took them, and raise train_max_size.",
        )


def _require_finite(scene: Scene) -> None:
    values = [scene.points, *(view.camera.world_to_camera for view in scene.views)]
    if not all(np.isfinite(value).all() for value in values):
        raise UserError(
            "bad_scene",
            "The scene has points or cameras at positions that are no numbers.",
            "Run the SfM stage again; it writes the whole scene folder.",
        )


def _require_parallax(scene: Scene, views: Sequence[View]) -> None:
    positions = np.array([view.camera.position for view in views])
    centre = positions.mean(axis=0)
    spread = float(np.linalg.norm(positions - centre, axis=1).max())
    depth = float(np.median(np.linalg.norm(scene.points - centre, axis=1)))
    if spread <= MIN_PARALLAX * depth:
        raise UserError(
            "no_parallax",
            f"All photos were taken from one spot: they lie within {spread:.3g} m, and what they show is "
            f"{depth:.3g} m away.",
            "Move the camera sideways between photos, by a tenth of the distance or more.",
        )
    offset = float(np.linalg.norm(centre))
    if offset > MAX_OFFSET * spread:
        raise UserError(
            "bad_scene",
            f"The scene lies {offset / 1_000:,.0f} km from the origin of its frame, its cameras within "
            f"{spread:.3g} m: too far for the numbers that training works with.",
            "Move the scene's frame to its middle, as the SfM stage does.",
        )
