"""The images of a SOG file: four bytes a Gaussian, row by row, as lossless WebP."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

Texels = NDArray[np.uint8]  # (N, 4): red, green, blue, alpha
Picture = NDArray[np.uint8]  # (H, W, 4)

BLOCK = 4  # readers expect sides that are multiples of four texels
OPAQUE = 255
# libwebp's own default effort: 6 makes files under 1 % smaller and takes three times as long.
EFFORT = 4


def lay_out(texels: Texels) -> Picture:
    """`texels` as a near-square picture, row by row; the texels left over are opaque black."""
    count = len(texels)
    width = math.ceil(math.sqrt(count) / BLOCK) * BLOCK
    height = math.ceil(count / width / BLOCK) * BLOCK
    picture = np.zeros((height * width, 4), dtype=np.uint8)
    picture[:, 3] = OPAQUE
    picture[:count] = texels
    return picture.reshape(height, width, 4)


def opaque(*channels: NDArray[np.uint8]) -> Texels:
    """Texels of up to three `channels`, each (N,), with nothing in the others and full alpha."""
    texels = np.zeros((len(channels[0]), 4), dtype=np.uint8)
    texels[:, 3] = OPAQUE
    for index, channel in enumerate(channels):
        texels[:, index] = channel
    return texels


def encode_picture(picture: Picture) -> bytes:
    """`picture` as lossless WebP, to the byte also where alpha is zero."""
    data = io.BytesIO()
    Image.fromarray(picture, "RGBA").save(data, "WEBP", lossless=True, exact=True, method=EFFORT)
    return data.getvalue()


def decode_picture(data: bytes, most_texels: int) -> Picture:
    """The texels of a WebP image. Raises ValueError where `data` is none, or has more than `most_texels`."""
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            width, height = image.size
            if width * height > most_texels:  # asked before it is decoded
                raise ValueError(f"a picture has {width}x{height} texels, where {most_texels} are many")
            return np.asarray(image.convert("RGBA"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError("not a WebP image") from error
