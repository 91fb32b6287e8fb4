"""Each photo brought to the one form that the reconstruction takes.

A normalised photo is an upright 8-bit RGB JPEG, no larger than asked, with its EXIF. That keeps away what
kills pycolmap (a side that rounds to zero, files listed twice) and what misleads it in silence (EXIF
orientation, which it ignores; a truncated JPEG, whose grey half it would register).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from spaceport_sfm.intake.appearance import BLANK_SPAN, Appearance, look_at
from spaceport_sfm.intake.capture import read_capture
from spaceport_sfm.intake.decoding import BROKEN_BYTES, Decoded
from spaceport_sfm.photo import Capture, UnusablePhotoError

JPEG_QUALITY = 95  # a second compression that costs no features (measured: same points as the originals)
MAX_SEGMENT_BYTES = 65_000  # a JPEG segment holds 65,533 bytes
# How EXIF's orientations 2 to 8 are set upright (EXIF 2.32, tag 0x0112).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Normalised:
    """A photo that has been written.

    Attributes:
        size: (width, height) in pixels.
        original_size: of the file as given, before EXIF's orientation.
    """

    size: tuple[int, int]
    original_size: tuple[int, int]
    capture: Capture
    appearance: Appearance


def normalise(decoded: Decoded, content: bytes, target: Path, max_size: int) -> Normalised:
    """Write `decoded`, longer side ≤ `max_size` pixels, to `target`; `content` is the file that it was.

    Raises:
        UnusablePhotoError: `blank`.
        OSError: the disk is full, or the like.
    """
    scale = min(1.0, max_size / max(decoded.size))
    capture = read_capture(decoded.exif, decoded.xmp, decoded.size, scale)
    picture = _upright(decoded, capture.orientation, scale)
    appearance = look_at(picture)
    if appearance.span <= BLANK_SPAN:
        raise UnusablePhotoError("blank", "shows a single colour: there is nothing to see in it")
    # A plain JPEG of the right size stays as it is, if it is no larger than its bare pixels: others drag
    # along what is not theirs.
    fits = scale == 1.0 and capture.orientation == 1 and len(content) <= 3 * picture.width * picture.height
    if decoded.is_plain_jpeg and fits:
        target.write_bytes(content)
    else:
        exif = _upright_exif(decoded.exif, picture.size)
        # Pillow would take over a comment, and raise where that is too long for a JPEG.
        picture.save(target, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=exif, comment=b"")
    return Normalised(
        size=picture.size,
        original_size=decoded.size,
        capture=capture,
        appearance=appearance,
    )


def _upright(decoded: Decoded, orientation: int, scale: float) -> Image.Image:
    """The picture at its final size. Scaled before it is turned: there is less to turn."""
    width, height = decoded.size
    size = (round(width * scale), round(height * scale))
    picture = decoded.picture
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def _upright_exif(exif: Image.Exif, size: tuple[int, int]) -> bytes:
    """`exif` for the normalised picture: upright, of its new size, everything else as it was."""
    exif[ExifTags.Base.Orientation] = 1
    details = exif.get_ifd(ExifTags.IFD.Exif)
    if ExifTags.Base.ExifImageWidth in details:
        details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = size
    try:
        encoded = exif.tobytes()
        if len(encoded) > MAX_SEGMENT_BYTES:  # a maker's note, most likely
            details.pop(ExifTags.Base.MakerNote, None)
            encoded = exif.tobytes()
    except BROKEN_BYTES as error:
        logger.warning("EXIF that can't be written again is left out: %s", error)
        return b""
    return encoded if len(encoded) <= MAX_SEGMENT_BYTES else b""
