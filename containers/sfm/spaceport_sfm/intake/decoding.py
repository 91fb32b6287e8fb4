"""From the bytes of a photo, in whatever format, to its pixels: all of them decoded, as RGB of 8 bits.

What a file is, its content says; its name does not matter. JPEG, PNG, TIFF, BMP and WebP are Pillow's own;
HEIC and DNG are decoded by `native_decoding`, in a process that may die.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from PIL import ExifTags, Image, UnidentifiedImageError

from spaceport.photo_headers import MIN_SIDE_PX
from spaceport_sfm.intake.jpeg_code import check_scans, is_sound, with_end
from spaceport_sfm.photo import UnusablePhotoError

MAX_ASPECT = 4.0  # stitched panoramas are no pinhole views; at the extreme a scaled side rounds to zero
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # Pillow's own limit: 179 megapixels

# What Pillow raises where bytes are broken: its readers trust what they read, so nearly all of Python's own.
BROKEN_BYTES = (OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, struct.error)

CUT_SHORT = "is cut short: part of the picture is missing"

# What a JPEG is decoded to at least, by the wanted size. Decoded to 1.25 times of it and then scaled, a photo
# of brighton has 15 % less fine detail (variance of the Laplacian) than scaled from all of its pixels.
DRAFT_ROOM = 2

_JPEGS = ("JPEG", "MPO")  # MPO: several JPEGs in one file, of which the first counts
_PILLOW_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"BM", b"RIFF")  # of these formats
_ANIMATIONS = ("PNG", "WEBP")  # of formats that stand for one photo otherwise
# ISO/IEC 23008-12, 10.2: the brands of files whose main picture is coded by HEVC, and the general ones.
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
XMP_TAG = 700  # in a TIFF directory (XMP specification part 3, 3.3)
_DNG_VERSION = 50706  # the tag that makes a TIFF file a DNG (DNG specification 1.7)
# What a TIFF file's first directory says of the photo; the rest of it is strips, colours, compression.
_DESCRIBING = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Orientation,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """Who decodes a photo."""

    PILLOW = "pillow"
    HEIF = "heif"
    DNG = "dng"


@dataclass(frozen=True)
class Decoded:
    """A photo's pixels and what came with them.

    Attributes:
        picture: RGB of 8 bits, as stored (not turned by EXIF), perhaps smaller than `size`.
        size: (width, height) in pixels of the photo as stored.
        exif: empty where it can't be read, for the picture is no worse for that.
        xmp: the packet, empty where there is none.
        is_plain_jpeg: whether the file itself is such a picture.
        is_sound: False where the pixels' code has faults that decoding got past: some may show nonsense.
    """

    picture: Image.Image
    size: tuple[int, int]
    exif: Image.Exif
    xmp: bytes
    is_plain_jpeg: bool = False
    is_sound: bool = True


def kind_of(content: bytes) -> Kind:
    """Who decodes `content`; Pillow also says of anything else that it is no photo."""
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        return Kind.HEIF
    return Kind.DNG if _has_tag(content, _DNG_VERSION) else Kind.PILLOW


def decode(content: bytes, max_size: int) -> Decoded:
    """Decode a photo of a format that Pillow reads, to its own size or one not below `max_size` pixels.

    Raises:
        UnusablePhotoError: `empty_file`, `not_an_image`, `too_large`, `extreme_aspect`, `too_small`,
            `animation`, `unsupported_pixels`, `truncated`, `damaged`.
    """
    try:
        return _decode(content, max_size)
    except UnusablePhotoError as error:
        if error.code != "truncated" or (mended := with_end(content)) is None:
            raise
    return replace(_decode(mended, max_size), is_plain_jpeg=False)


def _decode(content: bytes, max_size: int) -> Decoded:
    with _open(content) as image:
        size = image.size
        check_shape(*size)
        if image.format in _ANIMATIONS and (frames := getattr(image, "n_frames", 1)) > 1:
            raise UnusablePhotoError("animation", f"is an animation of {frames} pictures")
        is_jpeg = image.format in _JPEGS
        if is_jpeg:
            check_scans(content)
        _draft(image, max_size)
        load(image)
        exif = read_exif(image)  # after the pixels: a PNG's may stand behind them
        return Decoded(
            picture=as_rgb(image),
            size=size,
            exif=describing(exif) if image.format == "TIFF" else exif,
            xmp=xmp_of(image),
            is_plain_jpeg=image.format == "JPEG" and image.mode == "RGB",
            is_sound=not is_jpeg or is_sound(content),
        )


def decoded_pixels(content: bytes, max_size: int) -> int:
    """How many pixels `decode` will hold, from the header alone.

    Raises:
        UnusablePhotoError: as `decode`.
    """
    with _open(content) as image:
        _draft(image, max_size)
        return image.width * image.height


def _draft(image: Image.Image, max_size: int) -> None:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8 of its size, but with room for the scaling after it."""
    scale = min(1.0, DRAFT_ROOM * max_size / max(image.size))
    image.draft("RGB", (round(image.width * scale), round(image.height * scale)))


def check_shape(width: int, height: int) -> None:
    """Raises UnusablePhotoError `extreme_aspect`, `too_small` or `too_large`."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UnusablePhotoError(
            "extreme_aspect", f"is {width}x{height} pixels: a strip or panorama, not a single view"
        )
    if min(width, height) < MIN_SIDE_PX:
        raise UnusablePhotoError(
            "too_small", f"is {width}x{height} pixels; the shorter side must have at least {MIN_SIDE_PX}"
        )
    if width * height > MAX_PIXELS:
        raise too_large()


def too_large() -> UnusablePhotoError:
    limit = MAX_PIXELS // 10**6
    return UnusablePhotoError("too_large", f"has more pixels than the limit of {limit} megapixels")


def load(image: Image.Image) -> None:
    """Decode every pixel: only that tells a whole file from a truncated one."""
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise too_large() from error
    except BROKEN_BYTES as error:
        raise broken(error) from error


def broken(error: Exception) -> UnusablePhotoError:
    """What a decoder's `error` says of the photo."""
    if any(sign in str(error).lower() for sign in ("truncated", "end of file", "eof")):
        return UnusablePhotoError("truncated", CUT_SHORT)
    return UnusablePhotoError("damaged", f"is damaged: {error}")


def as_rgb(image: Image.Image) -> Image.Image:
    """`image` as RGB of 8 bits, its full range of values kept; alpha is left out.

    Raises:
        UnusablePhotoError: `unsupported_pixels`.
    """
    if image.mode == "I" or image.mode.startswith("I;16"):
        low, high = image.getextrema()
        if low < 0 or high > 65_535:  # type: ignore[operator]  # one band, so two numbers
            raise _unsupported("integers of 32 bits")
        image = image.point(lambda value: value / 256).convert("L")
    if image.mode == "F":
        raise _unsupported("floating-point numbers")
    try:
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:
        raise _unsupported(f"of the kind {image.mode}") from error


def _unsupported(what: str) -> UnusablePhotoError:
    return UnusablePhotoError("unsupported_pixels", f"has pixels that are {what}: export it with 8 bits")


def read_exif(image: Image.Image) -> Image.Exif:
    """The EXIF of `image` with its directories; an empty one where it can't be read."""
    return _exif(image.getexif)


def parse_exif(block: bytes) -> Image.Exif:
    """The EXIF in `block`, as `read_exif`; also that of a whole TIFF file."""

    def load() -> Image.Exif:
        exif = Image.Exif()
        exif.load(block)
        return exif

    return _exif(load)


def _exif(load: Callable[[], Image.Exif]) -> Image.Exif:
    """What `load` gives, its directories read; an empty one where that fails: the picture is no worse."""
    try:
        exif = load()
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            exif.get_ifd(directory)
    except BROKEN_BYTES as error:
        logger.warning("EXIF that can't be read is left out: %s", error)
        return Image.Exif()
    return exif


def describing(exif: Image.Exif) -> Image.Exif:
    """The part of a TIFF file's `exif` that tells of the photo, without what tells of the file's pixels."""
    kept = Image.Exif()
    for tag in _DESCRIBING:
        if tag in exif:
            kept[tag] = exif[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        kept.get_ifd(directory).update(exif.get_ifd(directory))
    return kept


def xmp_of(image: Image.Image) -> bytes:
    packet = image.info.get("xmp", b"")
    return packet.encode(errors="replace") if isinstance(packet, str) else packet


def _open(content: bytes) -> Image.Image:
    if not content:
        raise UnusablePhotoError("empty_file", "is empty: it has no bytes at all")
    try:
        return Image.open(io.BytesIO(content), formats=_PILLOW_FORMATS)
    except UnidentifiedImageError as error:
        if content.startswith(_BEGINNINGS):
            raise UnusablePhotoError("damaged", "is damaged: its header can't be read") from error
        reason = "is not an image of a kind that we read, whatever its name says"
        raise UnusablePhotoError("not_an_image", reason) from error
    except Image.DecompressionBombError as error:
        raise too_large() from error
    except BROKEN_BYTES as error:
        raise broken(error) from error


def _has_tag(content: bytes, tag: int) -> bool:
    """Whether `content` is a TIFF file whose first directory has `tag` (TIFF 6.0, section 2)."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return False
    try:
        (directory,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, directory)
        return any(
            struct.unpack_from(f"{order}H", content, directory + 2 + 12 * entry) == (tag,)
            for entry in range(count)
        )
    except struct.error:
        return False
