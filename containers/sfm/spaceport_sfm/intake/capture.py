"""How a photo was taken: the record that EXIF and XMP make, checked, for the photo as normalised.

Everything in it is what somebody's device claims: values that can't be true are left out one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import ExifTags, Image

from spaceport_sfm.intake.xmp import read_xmp
from spaceport_sfm.photo import Capture, Gimbal
from spaceport_sfm.placement.gps import ALTITUDE_RANGE_M, Position, position_from_exif

# Diagonal of the 36 x 24 mm frame that 35-mm equivalents refer to (CIPA DCG-001-2018, 3.1: by diagonal).
FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)
# Focal length by longer side: views from 127 degrees, beyond which no pinhole fits, to 6, drones' longest.
FOCAL_RANGE = (0.25, 10.0)
# More than 35-mm equivalents are rounded and their conventions differ (9 %) tells a photo that was scaled.
SAME_FOCAL = 1.25
MAX_SIGMA_M = 100.0  # a receiver that claims more has no fix

_FOUR_THIRDS, _THREE_HALVES = 4 / 3, 3 / 2
# Sensor diagonals in mm whose makers build them 3:2: the "1-inch" type (15.9) and from APS-C (26.7) on.
# Smaller ones (1/2.3" 7.7, 1/1.3" 12) and Micro Four Thirds (21.6) are 4:3.
_THREE_HALVES_DIAGONALS_MM = ((14.0, 18.0), (25.0, 60.0))
# EXIF's FocalPlaneResolutionUnit in mm; 4 and 5 are not in the standard, but cameras write them.
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
# Clockwise degrees by which a picture of each EXIF orientation is turned to stand upright. The mirrored ones
# (2, 4, 5, 7) are missing: of a mirror image gimbal angles say nothing.
_TURNED = {1: 0.0, 6: 90.0, 3: 180.0, 8: 270.0}


def read_capture(exif: Image.Exif, packet: bytes, original: tuple[int, int], scale: float) -> Capture:
    """The record of a photo.

    Args:
        packet: its XMP, empty where it has none.
        original: (width, height) in pixels of the file as given, before EXIF's orientation.
        scale: size of the photo as normalised, by `original`.
    """
    details = exif.get_ifd(ExifTags.IFD.Exif)
    xmp = read_xmp(packet)
    body = f"{_text(exif.get(ExifTags.Base.Make))} {_text(exif.get(ExifTags.Base.Model))}".strip()
    orientation = _orientation(exif)
    focal_px = _focal_px(details, xmp, original)
    position = position_from_exif(exif.get_ifd(ExifTags.IFD.GPSInfo)) or _position(xmp)
    if position and position.alt is None:
        position = position.model_copy(update={"alt": _altitude(xmp)})
    return Capture(
        orientation=orientation,
        body=body,
        lens=_text(details.get(ExifTags.Base.LensModel)),
        focal=(
            _millimetres(details.get(ExifTags.Base.FocalLength)),
            _millimetres(details.get(ExifTags.Base.FocalLengthIn35mmFilm)),
        ),
        focal_px=None if focal_px is None else focal_px * scale,
        taken=f"{_text(details.get(ExifTags.Base.DateTimeOriginal))}."
        f"{_text(details.get(ExifTags.Base.SubsecTimeOriginal))}".strip("."),
        position=position,
        position_sigma=_position_sigma(xmp),
        relative_altitude=_number(xmp.get("drone-dji:RelativeAltitude"), -1000.0, 15_000.0),
        gimbal=_gimbal(xmp, body, orientation),
    )


def _orientation(exif: Image.Exif) -> int:
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _focal_px(details: Mapping[int, Any], xmp: Mapping[str, str], original: tuple[int, int]) -> float | None:
    """The focal length in pixels of the file as given, by the best source that says something possible.

    Turning a photo upright does not change it, for pixels are square. Scaling does, and a program that scales
    a photo may set EXIF's size anew and leave what counts in the camera's pixels. A 35-mm equivalent holds at
    any size, so what contradicts it is not believed.
    """
    low, high = (share * max(original) for share in FOCAL_RANGE)
    equivalent = _equivalent_px(details, original)
    if equivalent and low <= equivalent <= high:
        low, high = equivalent / SAME_FOCAL, equivalent * SAME_FOCAL
    else:
        equivalent = None
    exact = _focal_claims(details, xmp, original)
    return next((focal for focal in exact if low <= focal <= high), equivalent)


def _equivalent_px(details: Mapping[int, Any], original: tuple[int, int]) -> float | None:
    equivalent = _millimetres(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if not equivalent:
        return None
    focal = _millimetres(details.get(ExifTags.Base.FocalLength))
    return equivalent / FULL_FRAME_DIAGONAL_MM * _sensor_diagonal_px(original, focal, equivalent)


def _focal_claims(
    details: Mapping[int, Any], xmp: Mapping[str, str], original: tuple[int, int]
) -> Iterator[float]:
    shrunk = max(original) / max(_shot_size(details, original))
    if calibrated := _number(xmp.get("drone-dji:CalibratedFocalLength"), 1.0, 1e6):
        yield calibrated * shrunk
    focal = _millimetres(details.get(ExifTags.Base.FocalLength))
    resolution = _number(details.get(ExifTags.Base.FocalPlaneXResolution), 1e-3, 1e9)
    unit = _UNIT_MM.get(details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    if focal and resolution and unit:
        yield focal * resolution / unit * shrunk


def _shot_size(details: Mapping[int, Any], original: tuple[int, int]) -> tuple[float, float]:
    """(width, height) in pixels as the camera wrote the photo.

    EXIF keeps it where a program that scaled the photo did not know better; a photo that was also cropped
    has another shape.
    """
    width = _number(details.get(ExifTags.Base.ExifImageWidth), 1.0, 1e6)
    height = _number(details.get(ExifTags.Base.ExifImageHeight), 1.0, 1e6)
    if not width or not height:
        return original
    shape = max(width, height) / min(width, height)
    same = abs(shape * min(original) / max(original) - 1) < 0.01
    return (width, height) if same else original


def _sensor_diagonal_px(size: tuple[int, int], focal: float, equivalent: float) -> float:
    """The diagonal, in pixels of a photo of `size`, of the whole sensor that it was cut from.

    35-mm equivalents are those of the whole sensor. A 16:9 photo is a 4:3 or 3:2 sensor's without its upper
    and lower margin: brighton's, 4000x2250 at 3.61 mm = 20 mm, give 2,311 px so, which calibrations confirm
    (about 2,300 to 2,350); their own diagonal would give 2,121 and the width alone 2,222.
    """
    longer, shorter = max(size), min(size)
    shape = longer / shorter
    native = _sensor_shape(FULL_FRAME_DIAGONAL_MM * focal / equivalent if focal else None, shape)
    if shape >= native:
        return math.hypot(longer, longer / native)
    return math.hypot(shorter * native, shorter)


def _sensor_shape(diagonal_mm: float | None, shape: float) -> float:
    """Width by height of the sensor; where its size is unknown, that of the photo if it is one of the two."""
    if diagonal_mm is None:
        return _THREE_HALVES if abs(shape / _THREE_HALVES - 1) < 0.02 else _FOUR_THIRDS
    three_halves = any(low < diagonal_mm < high for low, high in _THREE_HALVES_DIAGONALS_MM)
    return _THREE_HALVES if three_halves else _FOUR_THIRDS


def _gimbal(xmp: Mapping[str, str], body: str, orientation: int) -> Gimbal | None:
    """Where the camera of the upright photo pointed.

    The angles are those of the camera's body. Turning its photo clockwise is turning the camera the other
    way: a drone held in portrait, rolled by 90, whose photo EXIF has turned by 90, ends with a roll of 0.
    """
    turned = _TURNED.get(orientation)
    if turned is None:
        return None
    yaw = _number(xmp.get("drone-dji:GimbalYawDegree"), -360.0, 360.0)
    pitch = _number(xmp.get("drone-dji:GimbalPitchDegree"), -180.0, 180.0)
    roll = _number(xmp.get("drone-dji:GimbalRollDegree"), -360.0, 360.0)
    if yaw is None or pitch is None:
        # Pix4D's tags, which Parrot and senseFly write: a pitch of 0 looks straight down, 90 ahead.
        yaw = _number(xmp.get("Camera:Yaw"), -360.0, 360.0)
        from_nadir = _number(xmp.get("Camera:Pitch"), -180.0, 180.0)
        roll = _number(xmp.get("Camera:Roll"), -360.0, 360.0)
        if yaw is None or from_nadir is None:
            return None
        pitch = from_nadir - 90.0
        if roll is not None and body.lower().startswith("sensefly"):
            roll = -roll  # theirs is anticlockwise (so OpenDroneMap's opendm/photo.py)
    return Gimbal(yaw=_half_turn(yaw), pitch=pitch, roll=_half_turn((roll or 0.0) - turned))


def _half_turn(degrees: float) -> float:
    """`degrees` in -180 .. 180."""
    return math.remainder(degrees, 360.0)


def _position(xmp: Mapping[str, str]) -> Position | None:
    latitude = _number(xmp.get("drone-dji:GpsLatitude"), -90.0, 90.0)
    longitude = _number(
        # Older firmware can't spell it.
        xmp.get("drone-dji:GpsLongitude", xmp.get("drone-dji:GpsLongtitude")),
        -180.0,
        180.0,
    )
    if latitude is None or longitude is None or math.hypot(latitude, longitude) < 1e-6:
        return None
    return Position(lat=latitude, lon=longitude, alt=_altitude(xmp))


def _altitude(xmp: Mapping[str, str]) -> float | None:
    return _number(xmp.get("drone-dji:AbsoluteAltitude"), *ALTITUDE_RANGE_M)


def _position_sigma(xmp: Mapping[str, str]) -> tuple[float, float] | None:
    """The receiver's own claim, metres: of the worse horizontal axis, and vertically.

    DJI's with RTK, where the flag says that it worked (16 single, 34 float, 50 fixed); Pix4D's tags else.
    """
    if _number(xmp.get("drone-dji:RtkFlag"), 1.0, 1e3):
        axes = [_sigma(xmp.get(f"drone-dji:RtkStd{axis}")) for axis in ("Lon", "Lat")]
        vertical = _sigma(xmp.get("drone-dji:RtkStdHgt"))
    else:
        axes = [_sigma(xmp.get("Camera:GPSXYAccuracy"))]
        vertical = _sigma(xmp.get("Camera:GPSZAccuracy"))
    known = [sigma for sigma in axes if sigma]
    return (max(known), vertical) if len(known) == len(axes) and vertical else None


def _sigma(value: object) -> float | None:
    return _number(value, 1e-4, MAX_SIGMA_M)


def _text(value: object) -> str:
    return value.replace("\0", "").strip() if isinstance(value, str) else ""


def _millimetres(value: object) -> float:
    number = _number(value, 0.0, 10_000.0)
    return round(number, 2) if number else 0.0


def _number(value: object, low: float, high: float) -> float | None:
    """`value` as a number in `low` .. `high`, None for any other."""
    try:
        number = float(value)  # type: ignore[arg-type]  # EXIF: a rational, or anything a broken camera wrote
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if low <= number <= high else None
