"""The training input: photos without lens distortion and a pinhole model that fits them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pycolmap

JPEG_QUALITY = 95  # the pictures that training compares with: artefacts would be learnt


def undistort(sparse: Path, photos: Path, dense: Path) -> None:
    """Write `dense/images` and `dense/sparse` (PINHOLE) for the model in `sparse`.

    Raises:
        RuntimeError: a registered photo did not come out.
    """
    options = pycolmap.UndistortCameraOptions()
    options.blank_pixels = 0.0  # cut to where every pixel shows something: training would learn black borders
    pycolmap.undistort_images(dense, sparse, photos, undistort_options=options, jpeg_quality=JPEG_QUALITY)
    # Left-overs for COLMAP's own dense stereo, which nothing here runs.
    shutil.rmtree(dense / "stereo", ignore_errors=True)
    for script in dense.glob("run-colmap-*.sh"):
        script.unlink()
    model = pycolmap.Reconstruction(dense / "sparse")
    missing = [image.name for image in model.images.values() if not (dense / "images" / image.name).is_file()]
    if missing:
        raise RuntimeError(f"{len(missing)} undistorted photos are missing, {missing[0]} first")
