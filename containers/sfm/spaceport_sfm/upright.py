"""Which way is up where GPS doesn't tell: from the cameras, which their gimbals keep level."""

from __future__ import annotations

import numpy as np

from spaceport_sfm.georegistration import Similarity
from spaceport_sfm.gps import Floats

# Level cameras' x axes are horizontal: they span the ground plane if their headings differ by some 15°
# (the mean square of the sine of that is 0.07, split over two directions).
MIN_HEADING_SPREAD = 0.03


def upright_frame(rotations: Floats, centres: Floats, points: Floats) -> Similarity:
    """The rigid motion to a z-up frame with its zero in the middle of the points, at SfM's own scale.

    Args:
        rotations: (N, 3, 3) world to camera.
        centres: (N, 3) centres of projection.
        points: (M, 3).
    """
    up = up_direction(rotations, centres, points)
    east = rotations[0][0] - rotations[0][0] @ up * up  # x is the first camera's right, made horizontal
    if np.linalg.norm(east) < 1e-6:
        east = np.cross(up, rotations[0][1])
    east /= np.linalg.norm(east)
    rotation = np.stack([east, np.cross(up, east), up])
    middle = np.median(points, axis=0) if len(points) else centres.mean(axis=0)
    return Similarity(1.0, rotation, -rotation @ middle)


def up_direction(rotations: Floats, centres: Floats, points: Floats) -> Floats:
    """The unit vector (3,) that is up: across all cameras' x axes, on the side the cameras' tops point to.

    A flight that never turns leaves the angle about its x axis open; then the ground says it, the plane
    through the points that holds this axis.
    """
    right, down, forward = rotations[:, 0], rotations[:, 1], rotations[:, 2]
    values, vectors = np.linalg.eigh(right.T @ right / len(right))
    if values[1] > MIN_HEADING_SPREAD:
        up = vectors[:, 0]
    else:
        axis = vectors[:, 2]
        ground = points if len(points) >= 3 else centres
        across = (ground - np.median(ground, axis=0)) @ (np.eye(3) - np.outer(axis, axis))
        up = _thinnest_across(across, axis)
    # Photos look level or down, hardly ever up: their tops and their backs are on the upper side.
    return up if -(down + forward).mean(axis=0) @ up >= 0 else -up


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
