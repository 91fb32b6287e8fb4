from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from spaceport.errors import UserError
from spaceport_render.scene import read_scene


def make_scene(dense: Path, model: str = "PINHOLE", params: tuple[float, ...] = (50, 55, 31, 23)) -> None:
    """Three 64 × 48 photos with poses, and 20 points, as SfM leaves them."""
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 1, 1, 3
    options.num_points3D, options.camera_width, options.camera_height = 20, 64, 48
    options.camera_model_id = getattr(pycolmap.CameraModelId, model)
    options.camera_params = list(params)
    reconstruction = pycolmap.synthesize_dataset(options)
    (dense / "sparse").mkdir(parents=True)
    (dense / "images").mkdir()
    reconstruction.write(dense / "sparse")
    for image in reconstruction.images.values():
        ramp = np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
        path = dense / "images" / image.name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(ramp).save(path)


def test_reads_photos_cameras_and_points_sorted_by_name(tmp_path):
    make_scene(tmp_path)

    scene = read_scene(tmp_path, max_size=1000)

    names = [view.camera.name for view in scene.views]
    assert len(names) == 3
    assert names == sorted(names)
    assert scene.points.shape == scene.colors.shape == (20, 3)
    for view in scene.views:
        assert view.pixels.shape == (48, 64, 3)
        assert view.pixels.flags.writeable
        assert (view.camera.fx, view.camera.fy, view.camera.cx, view.camera.cy) == (50, 55, 31, 23)
        # Each point is seen where COLMAP sees it.
        reference = pycolmap.Reconstruction(tmp_path / "sparse").find_image_with_name(view.camera.name)
        for point in scene.points[:5]:
            x, y, z = view.camera.world_to_camera[:3] @ [*point, 1]
            assert z > 0
            expected = reference.project_point(point.astype(float))
            assert np.allclose([50 * x / z + 31, 55 * y / z + 23], expected, atol=1e-6)


def test_large_photos_are_scaled_down_with_their_cameras_and_none_is_scaled_up(tmp_path):
    make_scene(tmp_path)

    view = read_scene(tmp_path, max_size=32).views[0]

    assert view.pixels.shape == (24, 32, 3)
    assert (view.camera.width, view.camera.height) == (32, 24)
    assert (view.camera.fx, view.camera.cy) == (25, 11.5)
    assert view.pixels[:, 0].max() < 10
    assert view.pixels[:, -1].min() > 245


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda dense, photo: photo.unlink(), "missing"),
        (lambda dense, photo: photo.write_bytes(b"not a photo"), "can't be read"),
        (lambda dense, photo: photo.write_bytes(photo.read_bytes()[:60]), "can't be read"),
        (lambda dense, photo: Image.new("RGB", (48, 64)).save(photo), "48 × 64 pixels"),
        (lambda dense, photo: (dense / "sparse" / "cameras.bin").unlink(), "no readable COLMAP model"),
    ],
)
def test_a_scene_that_does_not_fit_together_is_refused_saying_where(tmp_path, spoil, told):
    make_scene(tmp_path)
    photo = min(path for path in (tmp_path / "images").rglob("*") if path.is_file())
    spoil(tmp_path, photo)

    with pytest.raises(UserError, match=told) as refusal:
        read_scene(tmp_path, max_size=100)

    assert refusal.value.code == "bad_scene"


def test_distorted_cameras_are_refused(tmp_path):
    make_scene(tmp_path, "SIMPLE_RADIAL", (50, 32, 24, 0.1))
    with pytest.raises(UserError, match="SIMPLE_RADIAL"):
        read_scene(tmp_path, max_size=100)
