"""What is known of one good photo: the record that every later step works from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from spaceport_sfm.placement.gps import Position


class UnusablePhotoError(Exception):
    """A photo that must be left out: a stable code, and the reason as words that follow its name."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Gimbal(BaseModel):
    """Where the camera pointed, by the drone's own sensors, degrees.

    Attributes:
        yaw: heading clockwise from north.
        pitch: above the horizon; -90 looks straight down.
        roll: clockwise about the viewing direction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    yaw: float
    pitch: float
    roll: float = 0.0


class Capture(BaseModel):
    """What a photo's EXIF and XMP say of how it was taken.

    Attributes:
        orientation: EXIF's, 1..8, that the file is set upright by.
        body, lens: empty where it says nothing.
        focal: EXIF focal length in mm and its 35-mm equivalent, (0, 0) where unknown.
        focal_px: what EXIF or XMP makes the focal length, pixels as normalised; None where they don't say.
        taken: EXIF capture time with fractions of a second, sortable; empty where unknown.
        position: where GPS says it was taken, if that can be true.
        position_sigma: the receiver's own claim of its error (RTK), metres horizontally and vertically.
        relative_altitude: above the take-off point by the barometer, metres (DJI's own name).
        gimbal: where the camera pointed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    orientation: int = 1
    body: str = ""
    lens: str = ""
    focal: tuple[float, float] = (0.0, 0.0)
    focal_px: float | None = None
    taken: str = ""
    position: Position | None = None
    position_sigma: tuple[float, float] | None = None
    relative_altitude: float | None = None
    gimbal: Gimbal | None = None


class Photo(Capture):
    """A normalised photo.

    Attributes:
        name: its file name in the folder of normalised photos and in the model.
        source: its full name in the zip.
        width, height: pixels, as normalised.
        original_size: (width, height) of the file as it was given, before EXIF's orientation.
        sharpness: how much fine detail it has for its coarse detail (`appearance.sharpness`); only comparable
            within one set.
        brightness: mean grey value, 0..255.
    """

    name: str
    source: str
    width: int
    height: int
    original_size: tuple[int, int] | None = None
    sharpness: float | None = None
    brightness: float | None = None
