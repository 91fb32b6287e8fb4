"""Photos beside the splat seen from the same place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spaceport.pictures import HELD_OUT, TRAINED_ON
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.pictures.drawing import Pixels, drawn, write_jpeg
from spaceport_gaussian.splat import Splat

SHOWN = 24  # of a flight of hundreds, spread over it: 15 MB at 1600 pixels
GAP = 8  # white pixels between the two
QUALITY = 90


def write_comparisons(folder: Path, name: str, splat: Splat, photos: Sequence[Photo]) -> None:
    """Write `folder/name/PHOTO.jpg` for up to SHOWN of `photos`: the photo left, the splat right.

    Args:
        name: HELD_OUT or TRAINED_ON. Both folders of an earlier run go.
    """
    for earlier in (HELD_OUT, TRAINED_ON):
        shutil.rmtree(folder / earlier, ignore_errors=True)
    for photo in spread(photos, SHOWN):
        # One flat folder, whatever folders the photos came in.
        file = folder / name / f"{photo.name.replace('/', '_').removesuffix('.jpg')}.jpg"
        write_jpeg(file, side_by_side(photo.pixels.cpu().numpy(), drawn(splat, photo)), QUALITY)


def side_by_side(left: Pixels, right: Pixels) -> Pixels:
    """Two pictures of one size with a white gap between them."""
    gap = np.full((len(left), GAP, 3), 255, np.uint8)
    return np.hstack([left, gap, right])


def spread(photos: Sequence[Photo], most: int) -> Sequence[Photo]:
    """At most `most` of `photos`, evenly over their order."""
    count = min(most, len(photos))
    return [photos[index * len(photos) // count] for index in range(count)]
