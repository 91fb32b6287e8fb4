"""What the report says of delivery: on which photos, and that the numbers mean what they say."""

from dataclasses import replace

import numpy as np
import pytest

from spaceport.errors import UserError
from spaceport_compressor.judging.fidelity import (
    Fidelity,
    delivery_numbers,
    measure_fidelity,
    references_of,
    split_views,
)
from spaceport_compressor.judging.rate_choice import ladder, write_smallest
from spaceport_compressor.sog.precision import FULL
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.write import write_sog
from spaceport_render.camera import Camera
from spaceport_render.holdout import fixed_subset
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


class TestViews:
    @pytest.fixture
    def views(self):
        pixels = np.zeros((64, 96, 3), np.uint8)
        return [View(over(f"{i:02}.jpg", i, 0), pixels) for i in range(18)]

    def names(self, views):
        return [view.camera.name for view in views]

    def test_held_out_photos_are_told_from_the_others(self, views):
        trained_on, held = split_views(views, ["12.jpg", "04.jpg"])
        assert self.names(held) == ["04.jpg", "12.jpg"]
        assert len(trained_on) == 16
        assert not set(self.names(trained_on)) & set(self.names(held))

    def test_a_held_out_photo_that_is_not_in_the_scene_is_told(self, views):
        with pytest.raises(UserError, match=r"99\.jpg"):
            split_views(views, ["04.jpg", "99.jpg"])

    def test_a_report_that_held_out_all_of_the_scene_is_refused(self, views):
        with pytest.raises(UserError, match="all photos"):
            split_views(views, self.names(views))

    def test_the_subset_is_eight_spread_over_the_flight(self, views):
        names = self.names(fixed_subset(views))
        assert len(names) == 8
        assert (names[0], names[-1]) == ("01.jpg", "16.jpg")

    def test_the_subset_of_a_few_is_all_of_them(self, views):
        assert self.names(fixed_subset(views[:3])) == ["00.jpg", "01.jpg", "02.jpg"]


class TestFidelity:
    def test_the_same_model_loses_nothing(self, make_gaussians):
        model = make_gaussians(300)
        fidelity = measure_fidelity(model, references_of(model, views_of(model, 2)))
        assert fidelity.psnr_loss_db == 0
        assert fidelity.decode_psnr_db == 100

    def test_a_model_gone_wrong_loses_much(self, make_gaussians):
        model, other = make_gaussians(300), make_gaussians(300, seed=1)
        fidelity = measure_fidelity(other, references_of(model, views_of(model, 2)))
        assert fidelity.decode_psnr_db < 20
        assert fidelity.psnr_loss_db > 20

    def test_the_loss_is_against_the_photos(self, make_gaussians):
        # Given photos of one model, and a trained model that is another
        photographed, trained = make_gaussians(300), make_gaussians(300, seed=1)
        # When what is delivered happens to be the photographed one
        fidelity = measure_fidelity(photographed, references_of(trained, views_of(photographed, 2)))
        # Then its PSNR against the photos is higher: the loss is negative
        assert fidelity.psnr_loss_db < -20

    @pytest.mark.parametrize(
        ("decode", "loss", "enough"),
        [
            (44, 0.05, True),
            (42.5, 0.0, False),
            (50, 0.2, False),
            (44, -1, True),
            # Without photos made-up views judge, which are kinder
            (42, None, False),
            (45.5, None, True),
        ],
    )
    def test_both_promises_must_hold(self, decode, loss, enough):
        assert Fidelity(decode, loss).good_enough is enough


class TestSmallestFile:
    def write(self, path, model, views):
        cameras = [view.camera for view in views]
        references = references_of(model, views)
        return write_smallest(path, model, cameras, references, seed=0, progress=no_progress)

    def test_a_model_that_packs_well_takes_the_first_rung(self, make_gaussians, tmp_path):
        # Given a model without harmonics, and photos that it does not match well anyway
        model = make_gaussians(2000, degree=0)
        views = [replace(view, pixels=255 - view.pixels) for view in views_of(model, 3)]
        assert self.write(tmp_path / "m.sog", model, views).precision == ladder(2000)[0]

    def test_a_model_that_does_not_takes_the_last_and_stays_readable(self, make_gaussians, tmp_path):
        # Given photos that the model matches so well that any error shows
        model = make_gaussians(2000)
        choice = self.write(tmp_path / "m.sog", model, views_of(model, 3))
        assert choice.precision == FULL
        assert not any(candidate.good_enough for candidate in choice.candidates)
        assert len(read_sog(tmp_path / "m.sog")) == 2000

    def test_the_smallest_that_is_good_enough_is_chosen(self, make_gaussians, tmp_path):
        # Given photos that the model matches to 31 dB
        model = make_gaussians(3000)
        rng = np.random.default_rng(0)
        noise = [rng.normal(0, 7, view.pixels.shape) for view in views_of(model, 3)]
        views = [
            replace(view, pixels=(view.pixels + more).clip(0, 255).astype(np.uint8))
            for view, more in zip(views_of(model, 3), noise, strict=True)
        ]
        # When the file is chosen
        path = tmp_path / "m.sog"
        choice = self.write(path, model, views)
        # Then it keeps what is promised, and the next smaller one does not
        rungs = ladder(3000)
        rung = rungs.index(choice.precision)
        references = references_of(model, views)
        assert 0 < rung < len(rungs) - 1
        assert measure_fidelity(read_sog(path), references).good_enough
        write_sog(tmp_path / "smaller.sog", model, [view.camera for view in views], rungs[rung - 1])
        assert not measure_fidelity(read_sog(tmp_path / "smaller.sog"), references).good_enough
        # and no Gaussian is missing, wherever the photos were taken
        assert len(read_sog(path)) == 3000
        # and the table says so: one is chosen, of which the file is, and it is the smallest that passes
        (chosen,) = [candidate for candidate in choice.candidates if candidate.chosen]
        assert chosen.sog_bytes == path.stat().st_size
        assert chosen.sog_bytes == min(c.sog_bytes for c in choice.candidates if c.good_enough)
        assert len(choice.candidates) <= 5

    def test_the_same_model_gives_the_same_bytes(self, make_gaussians, tmp_path):
        model = make_gaussians(1000)
        for name in ("a.sog", "b.sog"):
            self.write(tmp_path / name, model, views_of(model, 3))
        assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()


def test_sizes_are_the_files(tmp_path):
    (tmp_path / "model.ply").write_bytes(bytes(10_000))
    (tmp_path / "model.sog").write_bytes(bytes(600))
    fidelity = Fidelity(decode_psnr_db=44.0, psnr_loss_db=0.05)
    numbers = delivery_numbers(tmp_path / "model.ply", tmp_path / "model.sog", 40, fidelity)
    assert (numbers.ply_bytes, numbers.sog_bytes, numbers.gaussians) == (10_000, 600, 40)
    assert numbers.bytes_per_gaussian == 15
