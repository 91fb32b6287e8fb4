"""Which photos share one camera: same body, lens, focal length and size.

Sharing the lens' parameters among its photos is what makes them observable: a photo alone hardly says
anything of its distortion.
"""

from __future__ import annotations

from collections.abc import Sequence

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
