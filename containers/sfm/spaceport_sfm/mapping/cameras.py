"""Which photos share one camera, and what is known of a camera before any photo is compared.

Sharing the lens' parameters among its photos is what makes them observable: a photo alone hardly says
anything of its distortion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pycolmap

from spaceport_sfm.photo import Photo

# Two radial and two tangential terms: what a drone's rectilinear lens needs, and no more.
CAMERA_MODEL = "OPENCV"


def photos_by_camera(photos: Sequence[Photo]) -> list[list[Photo]]:
    """`photos` in groups that share a camera; groups and photos keep the order they came in.

    Photos without EXIF share a camera by size alone. An upright and a lying photo of one body are two
    sizes, so two cameras: the principal point differs.
    """
    groups: dict[tuple[object, ...], list[Photo]] = {}
    for photo in photos:
        key = (photo.body, photo.lens, photo.focal, photo.width, photo.height)
        groups.setdefault(key, []).append(photo)
    return list(groups.values())


def camera_name(photo: Photo) -> str:
    """Body and lens of `photo`'s camera in words, with the photos' size: it tells upright from lying."""
    known = " ".join(filter(None, (photo.body, photo.lens))) or "unknown camera"
    return f"{known}, {photo.width}x{photo.height}"


def known_focal_px(group: Sequence[Photo]) -> float | None:
    """What EXIF or XMP of the photos of one camera make its focal length, pixels; None where they are silent.

    The median: a single photo's tag may be broken.
    """
    told = [photo.focal_px for photo in group if photo.focal_px is not None]
    return median(told) if told else None


def enter_focal_priors(database: Path, photos: Sequence[Photo]) -> None:
    """Let the cameras in `database` start at their photos' `focal_px`, as far as those tell it.

    COLMAP reads EXIF too, but takes every photo for an uncropped one and knows no XMP: 9 % short on a
    16:9 photo of a 4:3 sensor. Call it before matching: the geometry of a pair rests on the focal length.
    """
    with pycolmap.Database.open(database) as opened:
        camera_ids = {image.name: image.camera_id for image in opened.read_all_images()}
        for group in photos_by_camera(photos):
            focal = known_focal_px(group)
            if focal is None:
                continue
            camera = opened.read_camera(camera_ids[group[0].name])
            camera.params = np.concatenate([[focal, focal], camera.params[2:]])
            camera.has_prior_focal_length = True
            opened.update_camera(camera)
