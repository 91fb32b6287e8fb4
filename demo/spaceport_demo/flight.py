"""The flight: where each photo is taken, and with what lens.

A lawn-mower path looking straight down (nearly: a drone is never quite level), then photos from a ring
around the centre that look at it at a slant, which ties the camera's focal length to its height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_demo.raycast import Pinhole

# The lens and sensor of a small survey drone: a 4/3-inch sensor behind a 12 mm lens.
FOCAL_LENGTH_MM = 12.0
SENSOR_WIDTH_MM = 17.3
FOCAL_LENGTH_35MM = 24  # the 4/3-inch diagonal (21.6 mm) is half of 35 mm film's

HEIGHT = 64.0  # metres above the take-off point; the land rises up to 25 m, houses to 10 m above that
TAKE_OFF_HEIGHT = 4.0  # metres above the lake
FORWARD_OVERLAP = 0.78
SIDE_OVERLAP = 0.72
OBLIQUE_SHARE = 0.3  # of the photos: six of twenty
RING_RADIUS = 58.0  # metres, of the oblique photos around the centre


@dataclass(frozen=True)
class Shot:
    """One photo to take.

    Attributes:
        name: the file's name.
        position: (3,) metres east, north, up.
        rotation: (3, 3) world to camera; the camera's axes are x right, y down, z forward.
    """

    name: str
    position: NDArray[np.float64]
    rotation: NDArray[np.float64]

    def seen_by(self, width: int, height: int) -> Pinhole:
        """The pinhole camera of a photo of this size, pixels."""
        return Pinhole(
            self.position, self.rotation, focal_pixels(width), width / 2.0, height / 2.0, width, height
        )


def focal_pixels(width: int) -> float:
    """The focal length in pixels of a photo this wide."""
    return FOCAL_LENGTH_MM / SENSOR_WIDTH_MM * width


def ground_pixel(width: int) -> float:
    """Metres that a pixel of a photo this wide covers straight below the drone."""
    return HEIGHT / focal_pixels(width)


def look(heading: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """World-to-camera rotation of a camera that looks along `heading` and `pitch` below level, radians.

    The heading counts from north, clockwise. Pitch π/2 looks straight down with the photo's upper edge
    towards the heading.
    """
    forward = np.array([np.sin(heading), np.cos(heading), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    right = np.cross(forward, up)
    view = np.cos(pitch) * forward - np.sin(pitch) * up
    down = np.cross(view, right)
    level = np.array([right, down, view])
    c, s = np.cos(roll), np.sin(roll)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ level


def plan_flight(photos: int, width: int, height: int, seed: int) -> list[Shot]:
    """`photos` shots in the order they are flown."""
    rng = np.random.default_rng([seed, 3])
    oblique = round(OBLIQUE_SHARE * photos)
    positions = _lawn_mower(photos - oblique, width, height)
    shots = []
    for x, y, heading in positions:
        # Wind: half a metre off the line, a degree or two off the vertical.
        drift = rng.normal(0.0, [0.5, 0.5, 0.4])
        tilt = np.radians(rng.normal(0.0, [2.5, 1.3, 1.0]))
        position = np.array([x, y, TAKE_OFF_HEIGHT + HEIGHT]) + drift
        rotation = look(heading + tilt[0], np.pi / 2 - abs(tilt[1]), tilt[2])
        shots.append((position, rotation))
    for k in range(oblique):
        angle = 2 * np.pi * (k + 0.35) / oblique
        drift = rng.normal(0.0, [0.8, 0.8, 0.5])
        tilt = np.radians(rng.normal(0.0, [1.5, 1.0, 0.7]))
        ring = RING_RADIUS * np.array([np.sin(angle), np.cos(angle), 0.0])
        position = ring + np.array([0.0, 0.0, TAKE_OFF_HEIGHT + HEIGHT - 10.0]) + drift
        rotation = look(angle + np.pi + tilt[0], np.radians(50.0) + tilt[1], tilt[2])
        shots.append((position, rotation))
    return [Shot(f"DSC_{k + 1:04d}.JPG", *pose) for k, pose in enumerate(shots)]


def _lawn_mower(photos: int, width: int, height: int) -> list[tuple[float, float, float]]:
    """(x, y, heading) of each nadir photo: lines from south to north and back, centred on the origin."""
    step_forward = (1.0 - FORWARD_OVERLAP) * ground_pixel(width) * height
    step_aside = (1.0 - SIDE_OVERLAP) * ground_pixel(width) * width
    # About as many lines as make the surveyed area square; at least two, to tell a tilt from a slope.
    lines = max(1, min(photos // 3, round(np.sqrt(photos * step_forward / step_aside)) or 1))
    stops = []
    for line, members in enumerate(np.array_split(np.arange(photos), lines)):
        x = (line - (lines - 1) / 2) * step_aside
        along = (np.arange(len(members)) - (len(members) - 1) / 2) * step_forward
        northbound = line % 2 == 0
        heading = 0.0 if northbound else np.pi
        stops += [(x, y if northbound else -y, heading) for y in along]
    return stops
