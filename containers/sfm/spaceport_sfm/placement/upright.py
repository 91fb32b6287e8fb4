"""Which way is up where GPS doesn't tell: from the cameras, which their gimbals keep level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spaceport_sfm.photo import Gimbal
from spaceport_sfm.placement.similarity import Floats, Gravity, Similarity

# Level cameras' x axes are horizontal: they span the ground plane if their headings differ by some 15°
# (the mean square of the sine of that is 0.07, split over two directions).
MIN_HEADING_SPREAD = 0.03
# A gimbal keeps level to half a degree and says so in the XMP; what is guessed from the pictures alone
# (that no camera is rolled) holds to some two.
GIMBAL_SIGMA = np.radians(1.0)
LEVEL_SIGMA = np.radians(2.0)
GROUND_SIGMA = np.radians(4.0)  # where the ground must be taken for level: a gentle slope
# A gimbal's angles are believed where three photos or more agree on up as well as this.
MIN_GIMBALS = 3
MAX_GIMBAL_SCATTER = np.radians(5.0)


def gravity(rotations: Floats, centres: Floats, points: Floats, gimbals: Sequence[Gimbal | None]) -> Gravity:
    """Up in the model's own frame: by what the gimbals say, else by the pictures.

    Args:
        rotations, centres, points: as of `upright_frame`.
        gimbals: of the same cameras.
    """
    by_gimbal = [
        rotation.T @ up_in_camera(gimbal)
        for rotation, gimbal in zip(rotations, gimbals, strict=True)
        if gimbal is not None
    ]
    if len(by_gimbal) >= MIN_GIMBALS:
        up = np.median(by_gimbal, axis=0)
        length = np.linalg.norm(up)
        if length > 0 and np.median(np.arccos(np.clip(by_gimbal @ up / length, -1, 1))) < MAX_GIMBAL_SCATTER:
            return Gravity(up / length, GIMBAL_SIGMA)
    return _by_pictures(rotations, centres, points)


def up_in_camera(gimbal: Gimbal) -> Floats:
    """Up (3,) in the camera's own axes: x right, y down, z forward."""
    pitch, roll = np.radians([gimbal.pitch, gimbal.roll])
    return np.array([-np.cos(pitch) * np.sin(roll), -np.cos(pitch) * np.cos(roll), np.sin(pitch)])


def upright_frame(rotations: Floats, centres: Floats, points: Floats, up: Floats) -> Similarity:
    """The rigid motion to a z-up frame with its zero in the middle of the points, at SfM's own scale.

    Args:
        rotations: (N, 3, 3) world to camera.
        centres: (N, 3) centres of projection.
        points: (M, 3).
        up: (3,), of length 1.
    """
    east = rotations[0][0] - rotations[0][0] @ up * up  # x is the first camera's right, made horizontal
    if np.linalg.norm(east) < 1e-6:
        east = np.cross(up, rotations[0][1])
    east /= np.linalg.norm(east)
    rotation = np.stack([east, np.cross(up, east), up])
    middle = np.median(points, axis=0) if len(points) else centres.mean(axis=0)
    return Similarity(1.0, rotation, -rotation @ middle)


def _by_pictures(rotations: Floats, centres: Floats, points: Floats) -> Gravity:
    """Up is across all cameras' x axes, on the side the cameras' tops point to.

    A flight that never turns leaves the angle about its x axis open; then the ground says it, the plane
    through the points that holds this axis.
    """
    right, down, forward = rotations[:, 0], rotations[:, 1], rotations[:, 2]
    values, vectors = np.linalg.eigh(right.T @ right / len(right))
    if values[1] > MIN_HEADING_SPREAD:
        up, sigma = vectors[:, 0], LEVEL_SIGMA
    else:
        axis = vectors[:, 2]
        ground = points if len(points) >= 3 else centres
        across = (ground - np.median(ground, axis=0)) @ (np.eye(3) - np.outer(axis, axis))
        up, sigma = _thinnest_across(across, axis), GROUND_SIGMA
    # Photos look level or down, hardly ever up: their tops and their backs are on the upper side.
    return Gravity(up if -(down + forward).mean(axis=0) @ up >= 0 else -up, sigma)


def _thinnest_across(offsets: Floats, axis: Floats) -> Floats:
    """The direction perpendicular to `axis` in which `offsets` (N, 3) spread least, outliers left out."""
    distance = np.linalg.norm(offsets, axis=1)
    near = offsets[distance <= np.percentile(distance, 90)]
    first = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    first /= np.linalg.norm(first)
    plane = np.stack([first, np.cross(axis, first)])
    flat = near @ plane.T
    _, vectors = np.linalg.eigh(flat.T @ flat)
    up: Floats = vectors[:, 0] @ plane
    return up
