"""SIFT features (Lowe 2004) of every photo, in a COLMAP database whose photo ids are fixed by name order.

OpenCV finds them: on the same photos it takes a third of the CPU-seconds of COLMAP's VLFeat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from spaceport_render.memory import available_bytes
from spaceport_sfm.mapping.cameras import CAMERA_MODEL, photos_by_camera
from spaceport_sfm.photo import Photo

# On brighton at 1600 px (points after filtering, their error, CPU-seconds of features + matching):
#   VLFeat's 10,000 largest, all 153 pairs:  7,499, 0.327 px, 36 + 31
#   OpenCV's 10,000 strongest, all pairs:    4,183, 0.287 px, 10 + 20
#   OpenCV's 10,000 largest, all pairs:      5,594, 0.330 px, 12 + 22
#   OpenCV's 12,000 largest, all pairs:      6,767, 0.339 px, 12 + 27
#   OpenCV's 12,000 largest, 85 pairs:       6,151, 0.325 px, 12 + 16
#   OpenCV's 14,000 largest, 85 pairs:       7,069, 0.335 px, 13 + 20
# On the demo flight of 20, VLFeat's 10,000 place the cameras to 4.5 mm, OpenCV's 10,000 largest to 3.4.
MAX_FEATURES = 14_000
# Beyond so many photos, fewer of each: they make more points than a splat of the scene starts from, and what
# they cost in matching and mapping grows faster than their number.
MANY_PHOTOS = 100
MAX_FEATURES_OF_MANY = 10_000
# Octaves of three scales, from the photo at twice its size on; COLMAP's thresholds, but for a lower
# contrast, at which canopy and grass fill the budget too.
OCTAVE_LAYERS = 3
CONTRAST_THRESHOLD = 0.013
EDGE_THRESHOLD = 10.0
FIRST_SIGMA = 1.6
# COLMAP counts from the corner of the first pixel, OpenCV from its centre.
PIXEL_CENTRE = 0.5
# RootSIFT's values are at most 1; COLMAP keeps them as bytes of 1/512 (larger ones don't occur in practice).
DESCRIPTOR_SCALE = 512.0
# What the scale space of one photo takes at most, measured (240) and rounded up.
BYTES_PER_PIXEL = 300


@dataclass(frozen=True)
class Features:
    """What was found in one photo.

    Attributes:
        keypoints: (N, 4) x and y in pixels from the corner of the first one, scale (the Gaussian's sigma)
            in pixels, orientation in radians.
        descriptors: (N, 128) RootSIFT in 1/512.
    """

    keypoints: NDArray[np.float32]
    descriptors: NDArray[np.uint8]


def create_database(database: Path, folder: Path, photos: Sequence[Photo]) -> None:
    """Enter `photos` (files in `folder`) with one shared camera a group; those that are there stay.

    Raises:
        ValueError: two photos of one name, of which COLMAP would die.
    """
    if len({photo.name for photo in photos}) < len(photos):
        raise ValueError("two photos have the same name")
    pycolmap.Database.open(database).close()
    options = pycolmap.ImageReaderOptions()
    options.camera_model = CAMERA_MODEL
    for group in photos_by_camera(photos):
        pycolmap.import_images(
            database,
            folder,
            camera_mode=pycolmap.CameraMode.SINGLE,
            image_names=[photo.name for photo in group],
            options=options,
        )


def extract_features(
    database: Path, folder: Path, photos: Sequence[Photo], threads: int, progress: Callable[[int], None]
) -> None:
    """Find the features of every photo that has none yet; `progress` gets the number of photos done.

    The same bytes whatever the number of `threads`, of which fewer are used where memory is short: each
    photo is one thread's work.
    """
    cv2.setNumThreads(1)  # OpenCV's own threads would wait for each other
    largest = max(photo.width * photo.height for photo in photos)
    threads = max(1, min(threads, available_bytes() // (BYTES_PER_PIXEL * largest)))
    with closing(pycolmap.Database.open(database)) as opened, ThreadPoolExecutor(threads) as pool:
        ids = {image.name: image.image_id for image in opened.read_all_images()}
        missing = [photo.name for photo in photos if not opened.exists_keypoints(ids[photo.name])]
        try:
            most = feature_budget(len(photos))
            found = pool.map(lambda name: find_features(folder / name, most), missing)
            for done, (name, features) in enumerate(
                zip(missing, found, strict=True), start=1 + len(photos) - len(missing)
            ):
                _write(opened, ids[name], features)
                progress(done)
        finally:
            pool.shutdown(cancel_futures=True)


def feature_budget(photos: int) -> int:
    """How many features are kept of each photo in a set of so many."""
    return MAX_FEATURES if photos <= MANY_PHOTOS else MAX_FEATURES_OF_MANY


def find_features(photo: Path, most: int = MAX_FEATURES) -> Features:
    """The `most` largest features of a photo; none of a photo of fog or still water.

    Raises:
        OSError: no picture that can be read.
    """
    # The pixels as they lie, as COLMAP takes them. Intake has turned them by what EXIF Pillow can read; of
    # damaged EXIF OpenCV reads more.
    grey = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if grey is None:
        raise OSError(f"{photo} can't be read")
    sift = cv2.SIFT.create(
        0,  # all, of which we choose ourselves
        OCTAVE_LAYERS,
        CONTRAST_THRESHOLD,
        EDGE_THRESHOLD,
        FIRST_SIGMA,
        True,  # without it the doubled photo is off by a quarter of a pixel
    )
    chosen = _largest(sift.detect(grey, None), most)
    if not chosen:
        return Features(np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8))
    chosen, descriptors = sift.compute(grey, chosen)
    keypoints = np.array(
        [
            (point.pt[0] + PIXEL_CENTRE, point.pt[1] + PIXEL_CENTRE, point.size / 2, np.radians(point.angle))
            for point in chosen
        ],
        dtype=np.float32,
    )
    return Features(keypoints, _root_sift(descriptors))


def _largest(points: Sequence[cv2.KeyPoint], most: int) -> list[cv2.KeyPoint]:
    """The `most` largest of `points`, one a place: second orientations spend the budget twice."""
    sizes = np.array([point.size for point in points])
    chosen: dict[tuple[float, float, float], cv2.KeyPoint] = {}
    for index in np.argsort(-sizes, kind="stable"):
        point = points[index]
        chosen.setdefault((*point.pt, point.size), point)
        if len(chosen) == most:
            break
    return list(chosen.values())


def _root_sift(descriptors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RootSIFT (Arandjelović & Zisserman 2012) as COLMAP stores it."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    return np.minimum(np.round(DESCRIPTOR_SCALE * np.sqrt(descriptors / total)), 255).astype(np.uint8)


def _write(database: pycolmap.Database, photo_id: int, features: Features) -> None:
    """Keypoints last: a photo that has them has all, wherever a run was killed."""
    if not database.exists_descriptors(photo_id):
        database.write_descriptors(
            photo_id, pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, features.descriptors)
        )
    database.write_keypoints(photo_id, features.keypoints)
