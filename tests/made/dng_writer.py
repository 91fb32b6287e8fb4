"""A DNG file as a drone writes it: no library that we install can."""

from __future__ import annotations

import struct

import numpy as np

_SHORT, _LONG, _BYTE, _ASCII, _RATIONAL, _SIGNED = 3, 4, 1, 2, 5, 10
_SIZE = {_SHORT: "H", _LONG: "I", _BYTE: "B", _ASCII: "s", _RATIONAL: "II", _SIGNED: "ii"}

Entry = tuple[int, int, tuple[int, ...] | bytes]


def mosaic(rgb: np.ndarray) -> np.ndarray:
    """The (H, W) 16-bit values that a sensor with the filter RG/GB has for `rgb`, (H, W, 3) of 8 bits."""
    linear = (rgb.astype(np.float64) / 255) ** 2.2 * 16_000
    raw = linear[:, :, 1].copy()
    raw[0::2, 0::2] = linear[0::2, 0::2, 0]
    raw[1::2, 1::2] = linear[1::2, 1::2, 2]
    return raw.astype("<u2")


def write_dng(rgb: np.ndarray, *, orientation: int = 1, preview: bytes = b"", xmp: bytes = b"") -> bytes:
    """A DNG of the picture `rgb`, with a JPEG `preview` of its own size where given.

    As the DNG specification has it: the first directory is the preview's if there is one, and the sensor's
    values are in a directory below it.
    """
    height, width = rgb.shape[:2]
    values = mosaic(rgb).tobytes()
    sensor: list[Entry] = [
        (254, _LONG, (0,)),  # NewSubfileType: the main picture
        (256, _LONG, (width,)),
        (257, _LONG, (height,)),
        (258, _SHORT, (16,)),
        (259, _SHORT, (1,)),  # not compressed
        (262, _SHORT, (32803,)),  # colour filter array
        (277, _SHORT, (1,)),
        (278, _LONG, (height,)),
        (33421, _SHORT, (2, 2)),
        (33422, _BYTE, (0, 1, 1, 2)),
        (50717, _LONG, (16_000,)),  # WhiteLevel
    ]
    photo: list[Entry] = [
        (271, _ASCII, b"DJI\0"),
        (272, _ASCII, b"FC6310\0"),
        (274, _SHORT, (orientation,)),
        (50706, _BYTE, (1, 4, 0, 0)),  # DNGVersion
        (50708, _ASCII, b"FC6310\0"),
        # ColorMatrix1 (XYZ to camera) of an sRGB camera, and its neutral.
        (50721, _SIGNED, _signed(3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)),
        (50728, _RATIONAL, (1, 1, 1, 1, 1, 1)),
        (50778, _SHORT, (21,)),  # CalibrationIlluminant1: D65
    ]
    if xmp:
        photo.append((700, _BYTE, tuple(xmp)))
    exif: list[Entry] = [(37386, _RATIONAL, (88, 10)), (36867, _ASCII, b"2024:05:01 10:11:12\0")]
    out = bytearray(b"II*\0\0\0\0\0")
    strip = _append(out, values)
    sensor += [(273, _LONG, (strip,)), (279, _LONG, (len(values),))]
    photo.append((34665, _LONG, (_directory(out, exif),)))
    if preview:
        place = _append(out, preview)
        photo += [
            (254, _LONG, (1,)),
            (256, _LONG, (width,)),
            (257, _LONG, (height,)),
            (258, _SHORT, (8, 8, 8)),
            (259, _SHORT, (7,)),
            (262, _SHORT, (6,)),
            (277, _SHORT, (3,)),
            (278, _LONG, (height,)),
            (273, _LONG, (place,)),
            (279, _LONG, (len(preview),)),
            (330, _LONG, (_directory(out, sensor),)),
        ]
    else:
        photo += sensor
    out[4:8] = struct.pack("<I", _directory(out, photo))
    return bytes(out)


def _signed(*numbers: float) -> tuple[int, ...]:
    return tuple(part for number in numbers for part in (round(number * 10_000), 10_000))


def _append(out: bytearray, content: bytes) -> int:
    out += b"\0" * (len(out) % 2)
    out += content
    return len(out) - len(content)


def _directory(out: bytearray, entries: list[Entry]) -> int:
    """Write a directory behind what is in `out`; return its offset (TIFF 6.0, section 2)."""
    packed = []
    for tag, kind, values in sorted(entries):
        if isinstance(values, bytes):
            count, data = len(values), values
        else:
            form = _SIZE[kind]
            count = len(values) // len(form)
            data = struct.pack(f"<{form[0] * len(values)}", *values)
        field = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", _append(out, data))
        packed.append(struct.pack("<HHI", tag, kind, count) + field)
    return _append(out, struct.pack("<H", len(packed)) + b"".join(packed) + b"\0\0\0\0")
