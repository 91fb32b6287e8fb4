"""The view that the page opens with: as much of what was flown as can be shown as the photos show it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.viewer.camera import (
    STRAIGHT_DOWN,
    WORLD_TO_VIEWER,
    InitialView,
    photo_camera,
    view_of,
)
from spaceport_render.camera import Camera, widest_view
from spaceport_render.flight_path import viewing_distance

Floats = NDArray[np.float64]

# Around the places that photos were taken over: a window's shorter side shows two thirds of its longer one.
ROOM = 1.5
# Times the flight's own height: from higher, houses are dots. A survey of kilometres opens over its middle.
HIGHEST = 3.0


def opening_view(cameras: Sequence[Camera], surface: Floats) -> InitialView:
    """The widest photo's; of a flight that looked down, from so far above its middle that all of it is shown.

    An oblique photo is as wide as a model can be shown: from aside and farther off, its edges are in view.
    From straight above farther off is only smaller.

    Args:
        cameras: the flight's, at least one, z up.
        surface: (N, 3) of the model.
    """
    widest = widest_view(cameras, surface)
    distance = viewing_distance([widest], surface)
    view = photo_camera(widest, distance).initial
    position, target = (WORLD_TO_VIEWER.T @ place for place in (view.position, view.target))
    forward = (target - position) / distance
    if -forward[2] < math.cos(STRAIGHT_DOWN):
        return view
    places = np.array([camera.position for camera in cameras])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    radius = np.linalg.norm((places - middle)[:, :2], axis=1).max()
    needed = ROOM * radius / math.tan(math.radians(view.fov) / 2)
    if needed <= distance:
        return view
    ground = np.array([middle[0], middle[1], target[2]])
    return view_of(ground - min(needed, HIGHEST * distance) * forward, ground, view.fov)
