"""The process that decodes HEIC and DNG: libheif and libraw read what anyone sends, and may die of it.

Run as `python -m spaceport_sfm.intake.native_decoding FD` by `native_decoders`, with requests and replies on
the socket FD. It loads nothing of pycolmap, and holds one photo at a time.
"""

from __future__ import annotations

import io
import sys
from multiprocessing.connection import Connection

import pi_heif
import rawpy
from PIL import Image

from spaceport_sfm.intake.decoding import (
    BROKEN_BYTES,
    CUT_SHORT,
    Kind,
    as_rgb,
    broken,
    check_shape,
    load,
    xmp_of,
)
from spaceport_sfm.intake.native_decoders import DecodeReply, DecodeRequest
from spaceport_sfm.photo import UnusablePhotoError

SAME_SHAPE = 0.02  # a preview of another shape has margins, or is cut


def decode(request: DecodeRequest) -> DecodeReply:
    """Decode the photo.

    Raises:
        UnusablePhotoError: as `decoding.decode`.
    """
    try:
        match request.kind:
            case Kind.HEIF:
                return _decode_heif(request.content)
            case Kind.DNG:
                return _decode_dng(request.content, request.max_size)
            case _:
                raise ValueError(f"{request.kind} photos are decoded elsewhere")
    except MemoryError as error:
        raise UnusablePhotoError("too_large", "needs more memory than there is") from error


def _decode_heif(content: bytes) -> DecodeReply:
    """The main picture; libheif sets it upright by itself, and pi_heif its EXIF too."""
    try:
        image = Image.open(io.BytesIO(content), formats=["HEIF"])
    except BROKEN_BYTES as error:
        raise UnusablePhotoError("damaged", "is damaged: its beginning can't be read") from error
    check_shape(*image.size)
    load(image)
    rgb = as_rgb(image)
    return DecodeReply(*rgb.size, rgb.tobytes(), image.size, image.info.get("exif") or b"", xmp_of(image))


def _decode_dng(content: bytes, max_size: int) -> DecodeReply:
    """The camera's own preview where it is large enough, else the sensor's pixels.

    The preview has the tones, the sharpening and, on small drones, the corrected lens that the same camera's
    JPEGs have, and costs a tenth of the time. Developed here, brightness and white balance are fixed: chosen
    for each photo, they would differ between neighbours.
    """
    try:
        with rawpy.imread(io.BytesIO(content)) as raw:
            size = (raw.sizes.width, raw.sizes.height)
            check_shape(*size)
            picture = _preview(raw, max_size)
            if picture is None:
                # Four of the sensor's pixels, one red, two green, one blue, make one: nothing is made up.
                enough = max(size) // 2 >= max_size
                pixels = raw.postprocess(
                    half_size=enough, use_camera_wb=True, no_auto_bright=True, output_bps=8, user_flip=0
                )
                picture = Image.fromarray(pixels)
    except rawpy.LibRawIOError as error:
        raise UnusablePhotoError("truncated", CUT_SHORT) from error
    except rawpy.LibRawError as error:
        raise UnusablePhotoError("damaged", f"can't be decoded: {error.args[0].decode()}") from error
    except BROKEN_BYTES as error:
        raise broken(error) from error
    return DecodeReply(*picture.size, picture.tobytes(), size)


def _preview(raw: rawpy.RawPy, max_size: int) -> Image.Image | None:
    try:
        thumbnail = raw.extract_thumb()
        if thumbnail.format != rawpy.ThumbFormat.JPEG:
            return None
        image = Image.open(io.BytesIO(bytes(thumbnail.data)), formats=["JPEG"])
        shape = image.width / image.height * raw.sizes.height / raw.sizes.width
        wanted = min(max_size, max(raw.sizes.width, raw.sizes.height))
        if max(image.size) < wanted or abs(shape - 1) > SAME_SHAPE:
            return None
        image.draft("RGB", (max_size, max_size))
        image.load()
        return as_rgb(image)
    except (rawpy.LibRawError, UnusablePhotoError, *BROKEN_BYTES):
        return None  # the sensor's own pixels may be whole


def main(descriptor: int) -> None:
    """Answer requests until nobody is left to send any."""
    pi_heif.register_heif_opener()
    connection = Connection(descriptor)
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            connection.send(decode(request))
        except UnusablePhotoError as error:
            connection.send(error)


if __name__ == "__main__":
    main(int(sys.argv[1]))
