"""Where a model is looked at from, to learn what shows of it: the flight's places, and some that it missed.

Who flies freely sees what no photo shows: more at the edges, and from between the photos. A file that is
exact only where the photos look is coarse there. So half of the lookouts are half way from a photo's place to
the nearest other's, with a wider view. On a real flight (brighton) pictures from held-out places decode
1.2 to 2.9 dB better for a file of the same size, and those from the photos' own places no worse
(bench/lookouts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spaceport_render.camera import Camera

PLACES = 16  # of a flight, spread over it: with those between they tell nearly as well as hundreds do
WIDER = 4 / 3  # of what lies around a photo, a sixth of its size on each side


def lookouts(cameras: Sequence[Camera]) -> tuple[Camera, ...]:
    """Up to PLACES of the flight's `cameras`, and for each of them the one that is between; none of none."""
    chosen = cameras[:: max(1, -(-len(cameras) // PLACES))]
    places = np.array([camera.position for camera in cameras])
    return (*chosen, *(_between(camera, _nearest_other(camera, places)) for camera in chosen))


def _nearest_other(camera: Camera, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest of `places` (V, 3) that is not the camera's own, (3,); its own where there is no other."""
    distances = np.linalg.norm(places - camera.position, axis=1)
    others = np.flatnonzero(distances > 0)
    return camera.position if len(others) == 0 else places[others[distances[others].argmin()]]


def _between(camera: Camera, other: NDArray[np.float64]) -> Camera:
    """`camera`, half way to `other`, (3,), and seeing WIDER as much across."""
    world_to_camera = camera.world_to_camera.copy()
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ ((camera.position + other) / 2)
    return replace(
        camera,
        name=f"beside {camera.name}",
        fx=camera.fx / WIDER,
        fy=camera.fy / WIDER,
        world_to_camera=world_to_camera,
    )
