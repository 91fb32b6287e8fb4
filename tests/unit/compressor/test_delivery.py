"""What the report says of delivery: on which photos, and that the numbers mean what they say."""

import numpy as np
import pytest
from spaceport.errors import UserError

from spaceport_compressor.delivery import delivery_numbers, measure_fidelity, measured_views
from spaceport_render.camera import Camera
from spaceport_render.render import render
from spaceport_render.scene import View


def no_progress(fraction, message="", **metrics):
    pass


def over(name, east, north):
    """A camera 60 m above a place, looking down."""
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (east, north, 60.0)
    return Camera(name, 96, 64, 60.0, 60.0, 48.0, 32.0, world_to_camera)


def views_of(model, count):
    cameras = [over(f"{i:02}.jpg", 3.0 * i, -2.0 * i) for i in range(count)]
    shots = [render(model, camera).clip(0, 1) for camera in cameras]
    return [
        View(camera, np.rint(shot * 255).astype(np.uint8))
        for camera, shot in zip(cameras, shots, strict=True)
    ]


class TestMeasuredViews:
    @pytest.fixture
    def views(self):
        pixels = np.zeros((64, 96, 3), np.uint8)
        return [View(over(f"{i:02}.jpg", i, 0), pixels) for i in range(18)]

    def names(self, views):
        return [view.camera.name for view in views]

    def test_the_held_out_photos_where_there_are_some(self, views):
        assert self.names(measured_views(views, ["12.jpg", "04.jpg"])) == ["04.jpg", "12.jpg"]

    def test_else_eight_spread_over_the_flight(self, views):
        names = self.names(measured_views(views, []))
        assert len(names) == 8
        assert names[0] == "01.jpg"
        assert names[-1] == "16.jpg"

    def test_else_all_of_a_few(self, views):
        assert self.names(measured_views(views[:3], [])) == ["00.jpg", "01.jpg", "02.jpg"]

    def test_a_held_out_photo_that_is_not_in_the_scene_is_told(self, views):
        with pytest.raises(UserError, match=r"99\.jpg"):
            measured_views(views, ["04.jpg", "99.jpg"])


class TestFidelity:
    def test_the_same_model_loses_nothing(self, make_gaussians):
        model = make_gaussians(300)
        fidelity = measure_fidelity(model, model, views_of(model, 2), no_progress)
        assert fidelity.psnr_loss_db == 0
        assert fidelity.decode_psnr_db == 100

    def test_a_model_gone_wrong_loses_much(self, make_gaussians):
        model, other = make_gaussians(300), make_gaussians(300, seed=1)
        fidelity = measure_fidelity(model, other, views_of(model, 2), no_progress)
        assert fidelity.decode_psnr_db < 20
        assert fidelity.psnr_loss_db > 20

    def test_the_loss_is_against_the_photos(self, make_gaussians):
        # Given photos of one model, and a trained model that is another
        photographed, trained = make_gaussians(300), make_gaussians(300, seed=1)
        # When what is delivered happens to be the photographed one
        fidelity = measure_fidelity(trained, photographed, views_of(photographed, 2), no_progress)
        # Then its PSNR against the photos is higher: the loss is negative
        assert fidelity.psnr_loss_db < -20

    def test_progress_ends_at_one(self, make_gaussians):
        model = make_gaussians(50)
        told = []
        measure_fidelity(model, model, views_of(model, 4), lambda done, message="": told.append(done))
        assert told == [0.25, 0.5, 0.75, 1.0]


def test_sizes_are_the_files(make_gaussians, tmp_path):
    model = make_gaussians(40)
    (tmp_path / "model.ply").write_bytes(bytes(10_000))
    (tmp_path / "model.sog").write_bytes(bytes(600))
    views = views_of(model, 1)
    fidelity = measure_fidelity(model, model, views, no_progress)
    numbers = delivery_numbers(tmp_path / "model.ply", tmp_path / "model.sog", 40, fidelity)
    assert (numbers.ply_bytes, numbers.sog_bytes, numbers.gaussians) == (10_000, 600, 40)
    assert numbers.bytes_per_gaussian == 15
