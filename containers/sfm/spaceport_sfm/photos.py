"""Each photo checked by a full decode and brought to the one form that the reconstruction takes.

A normalised photo is an upright 8-bit RGB JPEG, no larger than asked, with its EXIF. That keeps away what
kills pycolmap (a side that rounds to zero, files listed twice) and what misleads it in silence (EXIF
orientation, which it ignores; a truncated JPEG, whose grey half it would register).
"""

from __future__ import annotations

import logging
import shutil
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from spaceport.errors import UserError
from spaceport.progress import Progress
from spaceport.quality import RefusedPhoto
from spaceport_sfm.extraction import ExtractedPhoto
from spaceport_sfm.gps import position_from_exif
from spaceport_sfm.photo import Photo
from spaceport_sfm.steps import CHECKING

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")  # judged by content, whatever the suffix says
MIN_SIDE_PX = 256  # below, SIFT finds too few features to place a photo
MAX_ASPECT = 4.0  # stitched panoramas are no pinhole views; at the extreme a scaled side rounds to zero
MIN_PHOTOS = 3
JPEG_QUALITY = 95  # a second compression that costs no features (measured: same points as the originals)
NAMED_IN_MESSAGE = 3  # refused photos that the error names; the report has them all

# What Pillow raises where bytes are broken: its readers trust what they read, so nearly all of Python's own.
BROKEN_BYTES = (OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, struct.error)
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
class PreparedPhotos:
    """The normalised photos in name order, and those that were refused with the reason."""

    good: tuple[Photo, ...]
    refused: tuple[RefusedPhoto, ...]


def prepare_photos(
    extracted: Sequence[ExtractedPhoto], folder: Path, max_size: int, threads: int, progress: Progress
) -> PreparedPhotos:
    """Check and normalise the photos into `folder`, longer side ≤ `max_size` pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    unique, refused = _without_duplicates(extracted)
    good: list[Photo] = []
    pool = ThreadPoolExecutor(threads)  # Pillow decodes and scales without holding the GIL
    try:
        results = pool.map(lambda photo: _prepare(photo, folder, max_size), unique)
        for done, result in enumerate(results, start=1):
            if isinstance(result, Photo):
                good.append(result)
            else:
                refused.append(result)
            CHECKING.tell(progress, done / len(unique), photos=len(good))
    finally:
        pool.shutdown(cancel_futures=True)
    refused.sort(key=lambda photo: photo.name)
    return PreparedPhotos(tuple(good), tuple(refused))


def require_enough(good: Sequence[Photo], refused: Sequence[RefusedPhoto]) -> None:
    """Raises UserError `too_few_photos`, naming what was wrong, where fewer than three photos are left."""
    if len(good) >= MIN_PHOTOS:
        return
    named = "; ".join(f"{photo.name} {photo.reason}" for photo in refused[:NAMED_IN_MESSAGE])
    more = len(refused) - NAMED_IN_MESSAGE
    raise UserError(
        "too_few_photos",
        f"Only {len(good)} of {len(good) + len(refused)} photos can be used, a model needs {MIN_PHOTOS}: "
        f"{named}{f'; and {more} more' if more > 0 else ''}.",
        "Replace these photos by the originals from the camera and send the zip again.",
    )


def _without_duplicates(
    extracted: Sequence[ExtractedPhoto],
) -> tuple[list[ExtractedPhoto], list[RefusedPhoto]]:
    first: dict[str, ExtractedPhoto] = {}
    refused = []
    for photo in extracted:
        twin = first.setdefault(photo.sha256, photo)
        if twin is not photo:
            reason = f"is the same file as {twin.source}"
            refused.append(RefusedPhoto(name=photo.source, code="duplicate", reason=reason))
    return list(first.values()), refused


class _RefusedError(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _prepare(photo: ExtractedPhoto, folder: Path, max_size: int) -> Photo | RefusedPhoto:
    try:
        return _normalise(photo, folder, max_size)
    except _RefusedError as refusal:
        return RefusedPhoto(name=photo.source, code=refusal.code, reason=refusal.reason)


def _normalise(photo: ExtractedPhoto, folder: Path, max_size: int) -> Photo:
    target = folder / f"{photo.name}.jpg"
    with _open(photo.file) as image:
        original_size = width, height = image.size
        _check_shape(width, height)
        scale = min(1.0, max_size / max(width, height))
        image.draft("RGB", (round(2 * width * scale), round(2 * height * scale)))  # JPEG: decode at 1/2, 1/4
        _decode(image)
        exif = _read_exif(image)  # after the pixels: a PNG's may stand behind them
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        plain = image.format == "JPEG" and image.mode == "RGB" and orientation == 1
        if plain and scale == 1.0:
            shutil.copyfile(photo.file, target)
            size = (width, height)
        else:
            upright = _upright(_eight_bit(image), exif).convert("RGB")
            if (upright.width > upright.height) != (width > height):
                width, height = height, width
            size = (round(width * scale), round(height * scale))
            upright.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0).save(
                target, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=_upright_exif(exif, size)
            )
    described = _described(photo, target.name, size, exif)
    return described.model_copy(
        update={"original_size": original_size, "orientation": orientation if orientation in TURNS else 1}
    )


def _open(file: Path) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _RefusedError("not_an_image", "is not an image file, whatever its name says") from error
    except Image.DecompressionBombError as error:
        raise _RefusedError("too_large", "has more pixels than the limit of 179 megapixels") from error
    except BROKEN_BYTES as error:
        raise _RefusedError("damaged", f"is damaged: {error}") from error


def _check_shape(width: int, height: int) -> None:
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise _RefusedError(
            "extreme_aspect",
            f"is {width}x{height} pixels: a strip or panorama, not a single view",
        )
    if min(width, height) < MIN_SIDE_PX:
        raise _RefusedError(
            "too_small", f"is {width}x{height} pixels; the shorter side must have at least {MIN_SIDE_PX}"
        )


def _decode(image: Image.Image) -> None:
    """Decode every pixel: only that tells a whole file from a truncated one."""
    try:
        image.load()
    except BROKEN_BYTES as error:
        if "truncated" in str(error).lower():
            raise _RefusedError("truncated", "is cut short: part of the picture is missing") from error
        raise _RefusedError("damaged", f"is damaged: {error}") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    """`image` in a mode that Pillow converts to RGB without clipping."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return image.point(lambda value: value / 256).convert("L")
    if image.mode == "F":
        raise _RefusedError("unsupported_pixels", "has floating-point pixels: export it with 8 bits")
    return image


def _read_exif(image: Image.Image) -> Image.Exif:
    """The EXIF of `image`; an empty one where it can't be read, for the picture is no worse for that."""
    try:
        exif = image.getexif()
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            exif.get_ifd(directory)
    except BROKEN_BYTES as error:
        logger.warning("EXIF that can't be read is left out: %s", error)
        return Image.Exif()
    return exif


def _upright(image: Image.Image, exif: Image.Exif) -> Image.Image:
    """`image` turned as `exif` says. Pillow's own way would also write that EXIF again, broken or not."""
    turn = TURNS.get(exif.get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _upright_exif(exif: Image.Exif, size: tuple[int, int]) -> bytes:
    """`exif` for the normalised picture: upright, of its new size, everything else as it was."""
    exif[ExifTags.Base.Orientation] = 1
    details = exif.get_ifd(ExifTags.IFD.Exif)
    if ExifTags.Base.ExifImageWidth in details:
        details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = size
    try:
        encoded = exif.tobytes()
    except BROKEN_BYTES as error:
        logger.warning("EXIF that can't be written again is left out: %s", error)
        return b""
    return encoded if len(encoded) < 65_000 else b""  # a JPEG segment holds 65,533 bytes


def _described(photo: ExtractedPhoto, name: str, size: tuple[int, int], exif: Image.Exif) -> Photo:
    details = exif.get_ifd(ExifTags.IFD.Exif)
    return Photo(
        name=name,
        source=photo.source,
        width=size[0],
        height=size[1],
        body=f"{_text(exif.get(ExifTags.Base.Make))} {_text(exif.get(ExifTags.Base.Model))}".strip(),
        lens=_text(details.get(ExifTags.Base.LensModel)),
        focal=(
            _number(details.get(ExifTags.Base.FocalLength)),
            _number(details.get(ExifTags.Base.FocalLengthIn35mmFilm)),
        ),
        taken=f"{_text(details.get(ExifTags.Base.DateTimeOriginal))}."
        f"{_text(details.get(ExifTags.Base.SubsecTimeOriginal))}".strip("."),
        position=position_from_exif(exif.get_ifd(ExifTags.IFD.GPSInfo)),
    )


def _text(value: object) -> str:
    return value.replace("\0", "").strip() if isinstance(value, str) else ""


def _number(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # EXIF: a rational, or anything a broken camera wrote
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return round(number, 2) if 0 < number < 10_000 else 0.0
