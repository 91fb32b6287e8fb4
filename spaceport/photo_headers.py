"""What the first bytes of a photo tell of it: its size, its camera, and where it was taken.

Pure, and without any library for pictures: a Lambda has none. Whatever is odd is not told, and never an
error; SfM reads the whole photo later and knows better.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

HEAD_BYTES = 64 * 2**10  # EXIF is a JPEG's first segment, which has 64 KB at most
MIN_SIDE_PX = 256  # below, SIFT finds too few features to place a photo
MAX_PIXELS = 178_956_970  # above, SfM's decoder refuses a photo for fear of a bomb: Pillow's limit

# The tags that are read: TIFF 6.0 and EXIF 2.32, 4.6.
_WIDTH, _HEIGHT, _MAKE, _MODEL, _SUBFILE_TYPE, _GPS = 0x100, 0x101, 0x10F, 0x110, 0xFE, 0x8825
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4
_READ = frozenset(
    {_WIDTH, _HEIGHT, _MAKE, _MODEL, _SUBFILE_TYPE, _GPS}
    | {_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE}
)
_ASCII = 2
_FORMATS = {_ASCII: "s", 3: "H", 4: "I", 5: "II"}  # the others: SHORT, LONG, RATIONAL
_MAX_TAGS = 1000  # of one directory; cameras write some 50
_MAX_VALUES = 1000  # of one tag; of those that are read a camera's name is longest
_MAX_TEXT = 60  # characters
# Start of frame: the segments that tell a JPEG's size (ITU-T T.81, table B.1).
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN = 0xDA
_DJI_POSITION = b"drone-dji:Gps"  # in XMP, which SfM reads; here it only tells that there is one


@dataclass(frozen=True)
class PhotoHeader:
    """What is known of a photo; None: nothing.

    Attributes:
        size: (width, height) in pixels, as stored.
        camera: make and model.
        position: (latitude, longitude) in degrees.
        lacks_position: it is certain that its EXIF has none.
    """

    size: tuple[int, int] | None = None
    camera: str | None = None
    position: tuple[float, float] | None = None
    lacks_position: bool = False


UNKNOWN = PhotoHeader()
_Tags: TypeAlias = Mapping[int, tuple[Any, ...]]  # a tag's values: numbers, or one `bytes`


def read_header(head: bytes) -> PhotoHeader:
    """What `head`, the first HEAD_BYTES or less of a photo, tells of it."""
    try:
        if head.startswith(b"\xff\xd8\xff"):
            header = _jpeg(head)
        elif head.startswith((b"II*\0", b"MM\0*")):
            header = _tiff(head)
        else:
            return PhotoHeader(size=_plain_size(head))
    except (struct.error, LookupError, ArithmeticError):  # the header goes on behind the head, or is broken
        return UNKNOWN
    return replace(header, lacks_position=False) if _DJI_POSITION in head else header


def _plain_size(head: bytes) -> tuple[int, int] | None:
    """The size that formats tell in a fixed place."""
    if head.startswith(b"\x89PNG") and head[12:16] == b"IHDR":
        width, height = struct.unpack_from(">II", head, 16)
    elif head.startswith(b"BM"):
        width, height = (abs(side) for side in struct.unpack_from("<ii", head, 18))
    elif head[4:8] == b"ftyp":
        # ISO/IEC 23008-12, 6.5.3: one `ispe` a picture, thumbnails and tiles too; the photo's is largest.
        found = (struct.unpack_from(">II", head, box.start() + 8) for box in re.finditer(b"ispe", head))
        width, height = max(found, key=math.prod, default=(0, 0))
    else:
        return None
    return (width, height) if width and height else None


def _jpeg(head: bytes) -> PhotoHeader:
    header, at = PhotoHeader(lacks_position=True), 2
    while at + 4 <= len(head):
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4])
        content = head[at + 4 : at + 2 + length]
        if head[at] != 0xFF or length < 2:
            return UNKNOWN
        if marker == 0xE1 and content.startswith(b"Exif\0\0"):
            header = replace(_tiff(content[6:]), size=None)
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, 1)
            return replace(header, size=(width, height))
        elif marker == _START_OF_SCAN:
            break
        at += 2 + length
    return header if header.camera or header.position else UNKNOWN


def _tiff(content: bytes) -> PhotoHeader:
    """Of a TIFF file's beginning, as a whole EXIF segment is one."""
    order = "<" if content.startswith(b"II") else ">"
    tags = _directory(content, order, struct.unpack_from(f"{order}4xI", content)[0])
    width, height = _number(tags, _WIDTH), _number(tags, _HEIGHT)
    is_thumbnail = _number(tags, _SUBFILE_TYPE) & 1  # as a DNG's first picture
    gps = _number(tags, _GPS)
    position = _position(_directory(content, order, gps)) if gps else None
    return PhotoHeader(
        size=(width, height) if width and height and not is_thumbnail else None,
        camera=" ".join(part for part in (_text(tags, _MAKE), _text(tags, _MODEL)) if part) or None,
        position=position,
        lacks_position=position is None,
    )


def _directory(content: bytes, order: str, at: int) -> _Tags:
    """The directory that begins at the byte `at`: its tags of those kinds that we read."""
    (count,) = struct.unpack_from(f"{order}H", content, at)
    tags = {}
    for number in range(min(count, _MAX_TAGS)):
        entry = at + 2 + 12 * number
        tag, kind, length = struct.unpack_from(f"{order}HHI", content, entry)
        if tag not in _READ or kind not in _FORMATS or length > _MAX_VALUES:
            continue
        layout = f"{order}{length}s" if kind == _ASCII else f"{order}{_FORMATS[kind] * length}"
        is_inline = struct.calcsize(layout) <= 4
        place = entry + 8 if is_inline else struct.unpack_from(f"{order}I", content, entry + 8)[0]
        tags[tag] = struct.unpack_from(layout, content, place)
    return tags


def _number(tags: _Tags, tag: int) -> int:
    """The one whole number of `tag`, 0 for anything else."""
    values = tags.get(tag, ())
    return values[0] if len(values) == 1 and isinstance(values[0], int) else 0


def _text(tags: _Tags, tag: int) -> str:
    """The text of `tag`: what of it can be shown anywhere, and not more than any camera's name has."""
    values = tags.get(tag, ())
    if len(values) != 1 or not isinstance(values[0], bytes):
        return ""
    text = values[0].partition(b"\0")[0].decode("ascii", "ignore")
    return "".join(filter(str.isprintable, text)).strip()[:_MAX_TEXT]


def _position(gps: _Tags) -> tuple[float, float] | None:
    latitude = _degrees(gps.get(_LATITUDE, ()), _text(gps, _LATITUDE_REF), 90.0)
    longitude = _degrees(gps.get(_LONGITUDE, ()), _text(gps, _LONGITUDE_REF), 180.0)
    # Receivers without a fix write zeros.
    if latitude is None or longitude is None or math.hypot(latitude, longitude) < 1e-6:
        return None
    return (latitude, longitude)


def _degrees(values: tuple[Any, ...], reference: str, most: float) -> float | None:
    """Degrees of degrees, minutes and seconds, each a fraction; south and west are negative."""
    if len(values) != 6 or 0 in values[1::2]:
        return None
    degrees, minutes, seconds = (values[part] / values[part + 1] for part in (0, 2, 4))
    angle = float(degrees + minutes / 60 + seconds / 3600)
    return None if angle > most else -angle if reference in {"S", "W"} else angle
