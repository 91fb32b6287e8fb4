"""The EXIF block of a photo: camera, lens, time and GPS position (EXIF 2.32)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from spaceport_demo.flight import FOCAL_LENGTH_35MM, FOCAL_LENGTH_MM

MAKE, MODEL = "Spaceport", "DemoCam 20"

# WGS 84 (NIMA TR8350.2): semi-major axis, metres, and flattening.
_AXIS = 6378137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_2 = _FLATTENING * (2 - _FLATTENING)


@dataclass(frozen=True)
class Geodetic:
    """A WGS 84 position: degrees, degrees, metres above the ellipsoid."""

    latitude: float
    longitude: float
    altitude: float


def enu_to_geodetic(enu: NDArray[np.float64], origin: Geodetic) -> Geodetic:
    """The WGS 84 position of a point (3,) metres east, north and up of `origin`."""
    lat, lon = np.radians(origin.latitude), np.radians(origin.longitude)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return _from_ecef(_to_ecef(origin) + enu @ np.array([east, north, up]))


def _to_ecef(point: Geodetic) -> NDArray[np.float64]:
    lat, lon = np.radians(point.latitude), np.radians(point.longitude)
    normal = _AXIS / np.sqrt(1 - _ECCENTRICITY_2 * np.sin(lat) ** 2)
    flat = (normal + point.altitude) * np.cos(lat)
    z = (normal * (1 - _ECCENTRICITY_2) + point.altitude) * np.sin(lat)
    return np.array([flat * np.cos(lon), flat * np.sin(lon), z])


def _from_ecef(p: NDArray[np.float64]) -> Geodetic:
    flat = np.hypot(p[0], p[1])
    lat = np.arctan2(p[2], flat * (1 - _ECCENTRICITY_2))
    altitude = 0.0
    for _ in range(6):  # each turn gains two digits or more near the ground
        normal = _AXIS / np.sqrt(1 - _ECCENTRICITY_2 * np.sin(lat) ** 2)
        altitude = flat / np.cos(lat) - normal
        lat = np.arctan2(p[2], flat * (1 - _ECCENTRICITY_2 * normal / (normal + altitude)))
    return Geodetic(float(np.degrees(lat)), float(np.degrees(np.arctan2(p[1], p[0]))), float(altitude))


def make_exif(gps: Geodetic, taken: datetime, width: int, height: int) -> Image.Exif:
    """The EXIF block of a photo taken at `gps`."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = MAKE, MODEL
    exif[ExifTags.Base.Orientation] = 1
    exif[ExifTags.Base.Software] = "spaceport_demo"
    stamp = taken.strftime("%Y:%m:%d %H:%M:%S")
    exif[ExifTags.Base.DateTime] = stamp
    shot = exif.get_ifd(ExifTags.IFD.Exif)
    shot[ExifTags.Base.DateTimeOriginal] = shot[ExifTags.Base.DateTimeDigitized] = stamp
    shot[ExifTags.Base.FocalLength] = IFDRational(round(FOCAL_LENGTH_MM * 100), 100)
    shot[ExifTags.Base.FocalLengthIn35mmFilm] = FOCAL_LENGTH_35MM
    shot[ExifTags.Base.FNumber] = IFDRational(40, 10)
    shot[ExifTags.Base.ExposureTime] = IFDRational(1, 800)
    shot[ExifTags.Base.ISOSpeedRatings] = 100
    shot[ExifTags.Base.ExifImageWidth], shot[ExifTags.Base.ExifImageHeight] = width, height
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSVersionID] = bytes([2, 3, 0, 0])
    place[ExifTags.GPS.GPSLatitudeRef] = "N" if gps.latitude >= 0 else "S"
    place[ExifTags.GPS.GPSLatitude] = _degrees(gps.latitude)
    place[ExifTags.GPS.GPSLongitudeRef] = "E" if gps.longitude >= 0 else "W"
    place[ExifTags.GPS.GPSLongitude] = _degrees(gps.longitude)
    place[ExifTags.GPS.GPSAltitudeRef] = b"\x00" if gps.altitude >= 0 else b"\x01"
    place[ExifTags.GPS.GPSAltitude] = IFDRational(round(abs(gps.altitude) * 1000), 1000)
    return exif


def _degrees(angle: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Degrees, minutes and seconds; the last to 1e-5 s, a third of a millimetre."""
    seconds = round(abs(angle) * 3600 * 100000)
    minutes, seconds = divmod(seconds, 60 * 100000)
    degrees, minutes = divmod(minutes, 60)
    return IFDRational(degrees, 1), IFDRational(minutes, 1), IFDRational(seconds, 100000)
