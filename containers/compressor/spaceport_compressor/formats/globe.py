"""From the local frame to the globe: WGS 84's numbers, so that the program needs no PROJ for ten lines.

The tests hold them to PROJ's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spaceport.quality import Origin

# The ellipsoid by definition (NIMA TR8350.2): half its longer axis in metres, and its flattening.
SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563


def east_north_up_to_fixed(origin: Origin) -> NDArray[np.float64]:
    """(4, 4) from metres east, north and up of `origin` to metres from Earth's centre (EPSG:4978)."""
    lat, lon = math.radians(origin.lat), math.radians(origin.lon)
    sin_lat, cos_lat, sin_lon, cos_lon = math.sin(lat), math.cos(lat), math.sin(lon), math.cos(lon)
    squeeze = FLATTENING * (2 - FLATTENING)  # the square of the eccentricity
    across = SEMI_MAJOR_M / math.sqrt(1 - squeeze * sin_lat**2)  # from the axis, down to it along the plumb
    return np.array(
        [
            [-sin_lon, -sin_lat * cos_lon, cos_lat * cos_lon, (across + origin.alt) * cos_lat * cos_lon],
            [cos_lon, -sin_lat * sin_lon, cos_lat * sin_lon, (across + origin.alt) * cos_lat * sin_lon],
            [0, cos_lat, sin_lat, (across * (1 - squeeze) + origin.alt) * sin_lat],
            [0, 0, 0, 1],
        ]
    )
