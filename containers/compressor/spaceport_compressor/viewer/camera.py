"""Where the drone stood, in the viewer's axes: x east, y up, z south (ours: x east, y north, z up).

The page turns the model by the same quarter turn about x. Cameras of the viewer look along -z with y up
(OpenGL's convention); ours look along +z with y down (COLMAP's).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.spatial.transform import Rotation

from spaceport_render.camera import Camera
from spaceport_render.flight_path import Lens, level_camera

WORLD_TO_VIEWER = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
COLMAP_TO_OPENGL = np.diag([1.0, -1.0, -1.0])
# Nearer to straight down than this, a view's heading is the drift of the gimbal, not a choice.
STRAIGHT_DOWN = math.radians(20)

Triple = tuple[float, float, float]


class InitialView(BaseModel):
    """The viewer's own camera: it keeps the horizon level, so a roll is lost.

    Attributes:
        position, target: metres in the viewer's axes.
        fov: degrees along the longer side of the window (whatever the viewer's documentation says).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    position: Triple
    target: Triple
    fov: float


class PhotoCamera(BaseModel):
    """One photo's camera exactly, and the viewer's nearest to it.

    Attributes:
        position: metres in the viewer's axes.
        rotation: camera to viewer's axes, a unit quaternion x y z w.
        frustum: left, right, bottom, top of the photo at distance 1.
        size: the photo's width and height, pixels.
        initial: where the viewer goes on from when its user takes over.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    position: Triple
    rotation: tuple[float, float, float, float]
    frustum: tuple[float, float, float, float]
    size: tuple[int, int]
    initial: InitialView


def photo_camera(camera: Camera, distance: float) -> PhotoCamera:
    """`camera` in the viewer's axes, looking at what is `distance` metres ahead."""
    position = WORLD_TO_VIEWER @ camera.position
    rotation = WORLD_TO_VIEWER @ camera.world_to_camera[:3, :3].T @ COLMAP_TO_OPENGL
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    left, right = -camera.cx / camera.fx, (camera.width - camera.cx) / camera.fx
    bottom, top = (camera.cy - camera.height) / camera.fy, camera.cy / camera.fy
    fov = 2 * math.atan(max(right - left, top - bottom) / 2)
    target = position + distance * _level_direction(rotation)
    return PhotoCamera(
        position=_triple(position),
        rotation=(float(x), float(y), float(z), float(w)),
        frustum=(left, right, bottom, top),
        size=(camera.width, camera.height),
        initial=InitialView(position=_triple(position), target=_triple(target), fov=math.degrees(fov)),
    )


def view_of(position: NDArray[np.float64], target: NDArray[np.float64], fov: float) -> InitialView:
    """The view from `position` to `target` (3,), both in our z-up frame."""
    return InitialView(
        position=_triple(WORLD_TO_VIEWER @ position), target=_triple(WORLD_TO_VIEWER @ target), fov=fov
    )


def square_camera(view: InitialView, side: int) -> Camera:
    """A camera of ours that sees in `side` × `side` pixels what `view` shows in a square window."""
    position, target = (WORLD_TO_VIEWER.T @ place for place in (view.position, view.target))
    forward = (target - position) / np.linalg.norm(target - position)
    return level_camera(
        "", position, forward, Lens(side, side, side / 2 / math.tan(math.radians(view.fov) / 2))
    )


def _level_direction(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The viewing direction; looking nearly straight down, turned so that the photo's top is ahead.

    The viewer takes its heading from the direction alone, so without this a flight that looks down
    would open at the angle at which the gimbal happened to drift.
    """
    forward, up = -rotation[:, 2], rotation[:, 1]
    tilt = math.acos(min(1.0, max(-1.0, -forward[1])))  # from straight down
    if tilt >= STRAIGHT_DOWN:
        return forward
    heading = np.array([up[0], 0.0, up[2]])
    heading /= np.linalg.norm(heading)
    return math.sin(tilt) * heading - np.array([0.0, math.cos(tilt), 0.0])


def _triple(vector: NDArray[np.float64]) -> Triple:
    x, y, z = (float(value) for value in vector)
    return x, y, z
