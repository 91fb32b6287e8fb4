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
from pyproj import Transformer
from pyproj.enums import TransformDirection

Floats = NDArray[np.float64]

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
    places = [(place.lon, place.lat, ground if place.alt is None else place.alt) for place in positions]
    longitudes, latitudes, altitudes = np.array(places, dtype=np.float64).reshape(-1, 3).T
    return np.stack(_local(origin).transform(longitudes, latitudes, altitudes), axis=1)


def from_enu(offset: Floats, origin: Position) -> Position:
    """The position `offset` (3,) metres east, north and up of `origin`."""
    east, north, up = offset.tolist()
    lon, lat, alt = _local(origin).transform(east, north, up, direction=TransformDirection.INVERSE)
    return Position(lat=lat, lon=lon, alt=alt)


def enu_pipeline(origin: Position) -> str:
    """The way from longitude, latitude (degrees) and height to metres about `origin`, as a PROJ string."""
    return (
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
        f"+step +proj=cart +ellps=WGS84 +step {enu_frame(origin)}"
    )


def enu_frame(origin: Position) -> str:
    """The local frame about `origin` as a PROJ string: metres east, north and up (EPSG method 9836)."""
    return (
        f"+proj=topocentric +ellps=WGS84 +lat_0={origin.lat!r} +lon_0={origin.lon!r} "
        f"+h_0={origin.alt or 0.0!r}"
    )


def _local(origin: Position) -> Transformer:
    return Transformer.from_pipeline(enu_pipeline(origin))


def to_local_enu(positions: Sequence[Position]) -> Floats:
    """`positions` as (N, 3) metres east, north and up of their middle."""
    return to_enu(positions, median_position(positions)) if positions else np.empty((0, 3))


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
