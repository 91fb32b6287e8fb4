"""What the page's tools may say of lengths and directions: where the model lies on Earth, and how truly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport.quality import GeorefNumbers, SfmReport
from spaceport_render.camera import Camera

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """The frame of a model on Earth: metres east, north and up.

    Attributes:
        scale_error: standard deviation of the scale, as a share of a length; None where it is not known.
    """

    scale_error: float | None

    def told(self) -> dict[str, float | None]:
        """As the page reads it."""
        return {"scaleError": self.scale_error}


def place_of(sfm: SfmReport | None, cameras: Sequence[Camera]) -> Place | None:
    """Where the model lies; None where nothing tells, so that its units and directions are its own.

    Args:
        cameras: the flight's, in the model's frame.
    """
    if sfm is None or sfm.georef is None:
        return None
    return Place(_scale_error(sfm.georef, cameras))


def _scale_error(georef: GeorefNumbers, cameras: Sequence[Camera]) -> float | None:
    """How far off the scale of a similarity that was fitted to these places is, by its residuals.

    Its variance is that of one coordinate over the sum of the squared distances from the middle (Umeyama
    1991, by propagation), if each place is off by itself: a GPS that drifts through a flight is worse than
    this says. Ground control's residuals are of its own few points.
    """
    if georef.source == "gps":
        places = np.array([camera.position for camera in cameras])
        squares = georef.rms_horizontal_m**2 + georef.rms_vertical_m**2
    else:
        used = [point for point in (georef.control.points if georef.control else []) if point.role == "used"]
        if len(used) < 4:  # three points are met exactly, or nearly: their residuals tell nothing
            return None
        places = np.array([point.place for point in used])
        squares = float(np.mean([np.square(point.off).sum() for point in used]))
    spread = float(np.square(places - places.mean(axis=0)).sum())
    # The fit's seven numbers take as much out of the residuals.
    freedom = 3 * len(places) - 7
    if freedom <= 0 or spread == 0:
        return None
    return math.sqrt(squares * len(places) / freedom / spread)
