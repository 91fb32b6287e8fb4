"""Small photos that say which camera took them, and where."""

from __future__ import annotations

import io

import pillow_heif
from PIL import ExifTags, Image

PLACE = (46.8426, -91.9945)


def exif(
    camera: tuple[str, str] | None = ("DJI", "FC300S"), place: tuple[float, float] | None = PLACE
) -> Image.Exif:
    """EXIF with a camera's make and model, and a place as (latitude, longitude), degrees."""
    made = Image.Exif()
    if camera:
        made[ExifTags.Base.Make], made[ExifTags.Base.Model] = camera
    if place:
        gps = made.get_ifd(ExifTags.IFD.GPSInfo)
        gps[ExifTags.GPS.GPSLatitudeRef] = "N" if place[0] >= 0 else "S"
        gps[ExifTags.GPS.GPSLatitude] = (abs(place[0]), 0.0, 0.0)
        gps[ExifTags.GPS.GPSLongitudeRef] = "E" if place[1] >= 0 else "W"
        gps[ExifTags.GPS.GPSLongitude] = (abs(place[1]), 0.0, 0.0)
    return made


def picture(
    kind: str, size: tuple[int, int] = (320, 260), about: Image.Exif | None = None, grey: int = 9
) -> bytes:
    """A photo of one grey, in a format of Pillow's or as HEIF."""
    out, image = io.BytesIO(), Image.new("RGB", size, (grey, grey, grey))
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(out, exif=about.tobytes() if about else None)
    else:
        image.save(out, kind, **({"exif": about} if about else {}))
    return out.getvalue()
