"""Where a photo was taken: GPS from EXIF, checked, and as metres east, north and up of an origin.

WGS 84 throughout; altitudes are taken as the EXIF has them (drones write metres above sea level there,
so a position's height may be off by the geoid's: tens of metres, the same for all photos of a flight).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Floats = NDArray[np.float64]

# WGS 84, NIMA TR8350.2: semi-major axis in metres, flattening, first eccentricity squared.
SEMI_MAJOR_M = 6378137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY_2 = FLATTENING * (2 - FLATTENING)

# Lowest dry land to airliners' ceiling, with room for the geoid: an altitude outside is a broken tag.
ALTITUDE_RANGE_M = (-600.0, 15_000.0)

# Tags of the EXIF GPS directory (EXIF 2.32, table 15).
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _ALTITUDE_REF, _ALTITUDE = 1, 2, 3, 4, 5, 6


class Position(BaseModel):
    """A place on or above the WGS 84 ellipsoid: degrees, and metres where the altitude is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lat: float
    lon: float
    alt: float | None = None


def position_from_exif(gps: Mapping[int, Any]) -> Position | None:
    """The position in an EXIF GPS directory, or None where there is none that can be true.

    Cameras without a fix write zeros, NaN or nothing, and libraries store out-of-range values as they are.
    """
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REF), "S")
    longitude = _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF), "W")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    if math.hypot(latitude, longitude) < 1e-6:  # "null island": what a receiver without a fix writes
        return None
    return Position(lat=latitude, lon=longitude, alt=_altitude(gps))


def _degrees(parts: Any, reference: Any, negative: str) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(value):
        return None
    if isinstance(reference, bytes):  # some cameras write the letter as a byte, not as text
        reference = reference.decode("ascii", errors="replace")
    return -value if str(reference).strip("\0 ").upper() == negative else value


def _altitude(gps: Mapping[int, Any]) -> float | None:
    try:
        altitude = float(gps[_ALTITUDE])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if gps.get(_ALTITUDE_REF) in (b"\x01", 1):  # below sea level
        altitude = -altitude
    low, high = ALTITUDE_RANGE_M
    return altitude if low <= altitude <= high else None


def to_enu(positions: Sequence[Position], origin: Position) -> Floats:
    """`positions` as (N, 3) metres east, north and up of `origin`; a missing altitude is the origin's."""
    ground = origin.alt or 0.0
    ecef = np.array(
        [_ecef(place.lat, place.lon, ground if place.alt is None else place.alt) for place in positions]
    ).reshape(-1, 3)
    return (ecef - _ecef(origin.lat, origin.lon, ground)) @ _enu_axes(origin).T


def from_enu(offset: Floats, origin: Position) -> Position:
    """The position `offset` (3,) metres east, north and up of `origin`."""
    x, y, z = _ecef(origin.lat, origin.lon, origin.alt or 0.0) + offset @ _enu_axes(origin)
    across = math.hypot(x, y)
    latitude, altitude = math.atan2(z, across * (1 - ECCENTRICITY_2)), 0.0
    for _ in range(6):  # converges below a micrometre in 3 steps near the ground
        normal = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_2 * math.sin(latitude) ** 2)
        altitude = across * math.cos(latitude) + z * math.sin(latitude) - SEMI_MAJOR_M**2 / normal
        latitude = math.atan2(z, across * (1 - ECCENTRICITY_2 * normal / (normal + altitude)))
    return Position(lat=math.degrees(latitude), lon=math.degrees(math.atan2(y, x)), alt=altitude)


def median_position(positions: Sequence[Position]) -> Position:
    """A position in the middle of `positions`, whatever a few of them say.

    The middle photo's own place in longitude, so that a flight across the 180th meridian has one too.
    """
    reference = positions[0].lon
    longitudes = [(place.lon - reference + 180) % 360 - 180 for place in positions]
    longitude = (reference + float(np.median(longitudes)) + 180) % 360 - 180
    altitudes = [place.alt for place in positions if place.alt is not None]
    return Position(
        lat=float(np.median([place.lat for place in positions])),
        lon=longitude,
        alt=float(np.median(altitudes)) if altitudes else None,
    )


def _ecef(latitude: float, longitude: float, altitude: float) -> Floats:
    """Earth-centred, earth-fixed metres, (3,)."""
    phi, lam = math.radians(latitude), math.radians(longitude)
    normal = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_2 * math.sin(phi) ** 2)
    across = (normal + altitude) * math.cos(phi)
    up = (normal * (1 - ECCENTRICITY_2) + altitude) * math.sin(phi)
    return np.array([across * math.cos(lam), across * math.sin(lam), up])


def _enu_axes(origin: Position) -> Floats:
    """Rows: the directions east, north and up at `origin`, in ECEF."""
    phi, lam = math.radians(origin.lat), math.radians(origin.lon)
    sin_phi, cos_phi, sin_lam, cos_lam = math.sin(phi), math.cos(phi), math.sin(lam), math.cos(lam)
    return np.array(
        [
            [-sin_lam, cos_lam, 0.0],
            [-sin_phi * cos_lam, -sin_phi * sin_lam, cos_phi],
            [cos_phi * cos_lam, cos_phi * sin_lam, sin_phi],
        ]
    )
