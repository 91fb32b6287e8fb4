"""Undistorted photos of several cameras, upright and across."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image

from spaceport_sfm.undistortion import undistort

CAMERAS = [
    pycolmap.Camera(model="SIMPLE_RADIAL", width=320, height=240, params=[250, 160, 120, -0.1], camera_id=1),
    pycolmap.Camera(
        model="OPENCV",
        width=240,
        height=320,
        params=[240, 245, 120, 160, 0.05, -0.02, 0.001, 0.002],
        camera_id=2,
    ),
]


def test_each_camera_gets_a_pinhole_of_its_own_that_its_photos_fit(tmp_path: Path) -> None:
    # Given a model of two photos by each of two cameras
    model = pycolmap.Reconstruction()
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    (tmp_path / "sparse").mkdir()
    for camera in CAMERAS:
        size = (camera.width, camera.height)
        model.add_camera_with_trivial_rig(camera)
        for number in range(2):
            name = f"{camera.camera_id}_{number}.jpg"
            image = pycolmap.Image(
                name=name, camera_id=camera.camera_id, image_id=10 * camera.camera_id + number
            )
            model.add_image_with_trivial_frame(image, pycolmap.Rigid3d())
            pixels = random.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name)
    model.write(tmp_path / "sparse")

    undistort(tmp_path / "sparse", tmp_path / "photos", tmp_path / "dense")

    made = pycolmap.Reconstruction(tmp_path / "dense" / "sparse")
    names = sorted(image.name for image in made.images.values())
    assert names == ["1_0.jpg", "1_1.jpg", "2_0.jpg", "2_1.jpg"]
    for image in made.images.values():
        camera = made.cameras[image.camera_id]
        given = CAMERAS[image.camera_id - 1]
        with Image.open(tmp_path / "dense" / "images" / image.name) as photo:
            assert photo.size == (camera.width, camera.height)
        assert camera.model.name == "PINHOLE"
        assert camera.focal_length_x == given.focal_length_x
        assert abs(camera.width / given.width - 1) < 0.1
