"""The flight over the scene that the viewer's play button starts: as a camera animation of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.viewer.camera import WORLD_TO_VIEWER
from spaceport_render.camera import Camera
from spaceport_render.flight_path import SPEED, plan_course

Floats = NDArray[np.float64]

# Seconds from end to end. A grid of 60 photos needs 40 at a calm speed; less than 20 is no flight.
SHORTEST, LONGEST = 20.0, 40.0
# Seconds of speeding up, and of slowing down: at the end it flies the same way back.
RAMP = 3.0
KEY_EVERY = (
    0.5  # seconds; the viewer's spline between such keys is a millimetre off ours for 50 m of distance
)
FRAME_RATE = 30  # the unit of the keys' times
DECIMALS = 5  # the scene's unit may be a viewing distance


@dataclass(frozen=True)
class FlyThrough:
    """A camera's way in the viewer's axes, to and fro.

    Attributes:
        times: (K,) frames, FRAME_RATE a second, the first 0.
        positions, targets: (K, 3) metres.
        fov: degrees, as `InitialView` has them.
    """

    times: NDArray[np.int64]
    positions: Floats
    targets: Floats
    fov: float

    def track(self) -> dict[str, object]:
        """An `animTrack` of the viewer's settings, version 2."""
        return {
            "name": "flight",
            "duration": float(self.times[-1]) / FRAME_RATE,
            "frameRate": FRAME_RATE,
            "loopMode": "pingpong",
            "interpolation": "spline",
            "smoothness": 1,
            "keyframes": {
                "times": self.times.tolist(),
                "values": {
                    "position": self.positions.round(DECIMALS).ravel().tolist(),
                    "target": self.targets.round(DECIMALS).ravel().tolist(),
                    "fov": [self.fov] * len(self.times),
                },
            },
        }


def fly_through(cameras: Sequence[Camera], surface: Floats, fov: float) -> FlyThrough:
    """The flight's own way, calm, level and above all that `surface` (N, 3) has below it.

    Args:
        cameras: the flight's, at least one, z up.
        fov: degrees, of the camera that the viewer opens with.
    """
    course = plan_course(cameras, surface, LONGEST)
    calm = course.length / (SPEED * course.distance)
    if calm < LONGEST:
        course = plan_course(cameras, surface, max(calm, SHORTEST))
    cruise = max(course.length / (SPEED * course.distance), SHORTEST)
    seconds = KEY_EVERY * round((cruise + RAMP) / KEY_EVERY)
    times = np.arange(0.0, seconds + KEY_EVERY / 2, KEY_EVERY)
    positions, forward = course.at(shares_flown(times))
    return FlyThrough(
        np.rint(times * FRAME_RATE).astype(np.int64),
        positions @ WORLD_TO_VIEWER.T,
        (positions + course.distance * forward) @ WORLD_TO_VIEWER.T,
        fov,
    )


def shares_flown(times: Floats) -> Floats:
    """(T,) how much of the way is done at `times` (T,), 0 to the end's: steady but for both ends."""
    fine = np.linspace(0.0, float(times[-1]), 2_000)
    speed = _smooth(fine / RAMP) * _smooth((fine[-1] - fine) / RAMP)
    done = np.concatenate([[0.0], np.cumsum([(a + b) / 2 for a, b in pairwise(speed)])])
    return np.interp(times, fine, done / done[-1])


def _smooth(x: Floats) -> Floats:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)
