"""Cameras that nobody held: where to look from at a model whose photos are not at hand.

They tell how faithful the delivered file is to the model. How like the model is to what it shows, they can't.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians

COUNT = 8  # as many as the training photos that judge where there are any
# Degrees above the horizon, in turns: what flights look like, and neither straight down nor into the ground.
ELEVATIONS = (55.0, 30.0)
FIELD_OF_VIEW = math.radians(60)  # along the longer side, a drone's
ASPECT = 4 / 3
# Gaussians beyond these percentiles of an axis are strays: the model is what lies between.
STRAYS = (5.0, 95.0)
SOLID = 0.1  # opacity below which a Gaussian is haze, and says nothing of where the model is


def orbit_around(gaussians: Gaussians, longer_side: int) -> tuple[Camera, ...]:
    """COUNT cameras on a circle around the model, z up, each with most of it in the picture.

    Args:
        gaussians: at least one.
        longer_side: of the pictures, pixels.
    """
    solid = gaussians.opacities > SOLID
    places = gaussians.means[solid if solid.any() else slice(None)].astype(np.float64)
    low, high = np.percentile(places, STRAYS, axis=0)
    middle = (low + high) / 2
    # From here the ball around what is not a stray fills the view; a lone Gaussian has a size, too.
    radius = max(float(np.linalg.norm(high - low)) / 2, float(np.median(gaussians.scales)), 1e-6)
    distance = radius / math.sin(FIELD_OF_VIEW / 2)
    return tuple(
        _camera(index, middle, distance, 2 * math.pi * index / COUNT, longer_side) for index in range(COUNT)
    )


def _camera(
    index: int, middle: NDArray[np.float64], distance: float, azimuth: float, longer_side: int
) -> Camera:
    elevation = math.radians(ELEVATIONS[index % len(ELEVATIONS)])
    level = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    forward = -math.cos(elevation) * level - np.array([0.0, 0.0, math.sin(elevation)])
    right = np.array([-level[1], level[0], 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward])
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ (middle - distance * forward)
    width, height = longer_side, round(longer_side / ASPECT)
    focal = width / 2 / math.tan(FIELD_OF_VIEW / 2)
    return Camera(f"orbit {index + 1}", width, height, focal, focal, width / 2, height / 2, world_to_camera)
