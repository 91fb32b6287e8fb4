"""Photos beside what the delivered model shows from the same place, and the model at its best."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spaceport_compressor.judging.fidelity import Judged
from spaceport_compressor.viewer.camera import InitialView, square_camera
from spaceport_compressor.viewer.settings import BACKGROUND
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.metrics import ssim
from spaceport_render.render import render

Pixels = NDArray[np.uint8]

OPENING_SIZE = (1200, 800)  # of the opening picture, pixels: the page's width, and a usual photo's shape
# Longer sides at which the comparisons are tried, pixels, until they fit. The page shows them 320 wide on a
# desktop and 360 on a phone.
SIDES = (1024, 800, 640, 480, 400)
BUDGET = 850_000  # bytes of all comparisons, as they stand in the page: a report is mailed and printed
QUALITY = 80  # of JPEG and WebP: nobody sees the loss
ROUGH_QUALITY = 60  # of error maps and of opacity: full of grain, which costs most and tells least

# The colours of an error, from none to MOST_ERROR (mean over the channels, 0..1), evenly spaced: after
# ColorBrewer's YlOrBr, the dark end first, so that they read in print and in grey.
ERROR_COLORS = np.array(
    [[27, 29, 33], [102, 37, 6], [204, 76, 2], [254, 153, 41], [255, 247, 188]], np.float64
)
MOST_ERROR = 0.4


@dataclass(frozen=True)
class Picture:
    """A picture as it stands in the page: its `data:` URI, and its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Comparison:
    """What the page shows of a `Judged`; `error` is the map of the differences."""

    judged: Judged
    ssim: float
    photo: Picture
    render: Picture
    error: Picture


def compare(judged: Sequence[Judged]) -> list[Comparison]:
    """`judged` in pictures: as large as the photos, but within BUDGET."""
    likenesses = [ssim(one.picture / 255.0, one.photo / 255.0) for one in judged]
    comparisons: list[Comparison] = []
    for side in SIDES:
        comparisons = [_comparison(*one, side) for one in zip(judged, likenesses, strict=True)]
        size = sum(len(p.uri) for one in comparisons for p in (one.photo, one.render, one.error))
        if size <= BUDGET:
            break
    return comparisons


def opening_picture(delivered: Gaussians, view: InitialView) -> Picture:
    """The delivered model as the viewer opens with `view` in a window of OPENING_SIZE."""
    width, height = OPENING_SIZE
    square = square_camera(view, width)
    window = replace(square, height=height, cy=square.cy - (width - height) / 2)
    return jpeg(_bytes(render(delivered, window, BACKGROUND).clip(0, 1)))


def error_map(picture: Pixels, photo: Pixels) -> Pixels:
    """How far two pictures are apart, pixel by pixel, in ERROR_COLORS."""
    error = np.abs(picture.astype(np.float64) - photo).mean(axis=2) / 255
    stops = np.linspace(0, MOST_ERROR, len(ERROR_COLORS))
    return np.stack([np.interp(error, stops, channel) for channel in ERROR_COLORS.T], axis=2).astype(np.uint8)


def jpeg(pixels: Pixels, quality: int = QUALITY) -> Picture:
    """`pixels` (H, W, 3) to be embedded."""
    return _embedded(Image.fromarray(pixels), "JPEG", quality=quality, optimize=True)


def webp(pixels: Pixels) -> Picture:
    """`pixels` (H, W, 4), the last channel their opacity, to be embedded: the page shines through."""
    return _embedded(Image.fromarray(pixels), "WEBP", quality=QUALITY, alpha_quality=ROUGH_QUALITY, method=6)


def _comparison(judged: Judged, likeness: float, side: int) -> Comparison:
    photo, picture = _within(judged.photo, side), _within(judged.picture, side)
    error = jpeg(error_map(picture, photo), ROUGH_QUALITY)
    return Comparison(judged, likeness, jpeg(photo), jpeg(picture), error)


def _within(pixels: Pixels, side: int) -> Pixels:
    height, width, _ = pixels.shape
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _embedded(image: Image.Image, kind: str, **options: int | bool) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/{kind.lower()};base64,{data}", image.width, image.height)


def _bytes(picture: Floats) -> Pixels:
    return np.rint(picture * 255).astype(np.uint8)
