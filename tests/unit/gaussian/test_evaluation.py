import json

import numpy as np
import pytest
import torch

from spaceport.quality import TrainingReport
from spaceport.tuning import Tuning
from spaceport_gaussian.evaluation.color_correction import color_corrected
from spaceport_gaussian.evaluation.likeness import judge
from spaceport_gaussian.evaluation.rendering_speed import frames_per_second
from spaceport_gaussian.job import start
from spaceport_gaussian.material import Material, prepare
from spaceport_gaussian.measuring import measure
from spaceport_gaussian.policies.stopping import StoppedBy
from spaceport_render.metrics import detail, psnr, ssim

CPU = torch.device("cpu")
TUNING = Tuning(max_iterations=50, train_max_size=96, max_gaussians=900, sh_degree=1, holdout=4)


@pytest.fixture(scope="module")
def material(survey) -> Material:
    return prepare(survey, TUNING, CPU)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.7, (40, 50, 3))


def test_a_photo_of_another_exposure_and_white_balance_is_forgiven_wholly():
    # Given a photo that is its render through another exposure and white balance
    render = picture(seed=1)
    photo = render @ [[1.1, 0.05, 0.0], [-0.05, 0.9, 0.02], [0.0, 0.03, 0.8]] + [0.05, -0.02, 0.1]

    corrected = color_corrected(render, photo)

    assert psnr(render, photo) < 26
    assert psnr(corrected, photo) > 80


def test_pixels_that_the_photo_clips_have_no_say_in_the_correction():
    # Given a photo with a sky that is burnt out, which the render shows grey
    render = picture(seed=2)
    photo = 0.8 * render + 0.1
    photo[:10] = 1.0
    render[:10] = 0.5

    corrected = color_corrected(render, photo)

    assert psnr(corrected[10:], photo[10:]) > 80


def test_a_difference_that_no_exposure_explains_is_not_forgiven():
    render, photo = picture(seed=3), picture(seed=4)

    # The best that an affine map can do with noise is to show the photo's mean.
    flat = np.broadcast_to(photo.mean(axis=(0, 1)), photo.shape)
    assert psnr(color_corrected(render, photo), photo) == pytest.approx(psnr(flat, photo), abs=0.05)


@pytest.mark.parametrize("photo", [np.zeros((20, 30, 3)), np.ones((20, 30, 3)), np.full((20, 30, 3), 0.4)])
def test_a_photo_of_one_colour_is_compared_all_the_same(photo):
    corrected = color_corrected(np.full((20, 30, 3), 0.3), photo)

    assert np.isfinite(corrected).all()


def test_each_view_is_judged_by_the_measures_of_the_field(material):
    splat = start(material).splat
    photos = material.held.at(1.0)

    judged = judge(splat, photos)

    assert [view.name for view in judged] == ["02.png", "20.png"]
    for view, photo in zip(judged, photos, strict=True):
        with torch.no_grad():
            render = splat.render(photo).image.clamp(0, 1).numpy()
        target = photo.target.numpy()
        assert view.psnr == psnr(render, target)
        assert view.ssim == ssim(render, target)
        assert view.detail == detail(render, target)
        assert view.psnr_corrected > view.psnr


def test_the_speed_is_that_of_single_renders(material):
    splat = start(material).splat

    assert 20 < frames_per_second(splat, material.held.at(1.0)) < 100_000


def report_of(material: Material) -> TrainingReport:
    run = start(material)
    run.stopped_by = StoppedBy.MAX_ITERATIONS
    return measure(run, material, lambda: 1.0)


def test_the_report_tells_of_each_held_out_view(material):
    report = report_of(material)

    assert [view.name for view in report.views] == report.holdout == ["02.png", "20.png"]
    assert report.psnr_holdout == pytest.approx(np.mean([view.psnr for view in report.views]))
    assert report.psnr_holdout_corrected == pytest.approx(
        np.mean([view.psnr_corrected for view in report.views])
    )
    assert 0 < report.ssim_train < 1
    assert report.fps > 0


def test_without_held_out_photos_the_fixed_subset_is_told_of(survey):
    report = report_of(prepare(survey, TUNING.model_copy(update={"holdout": 0}), CPU))

    assert report.holdout == []
    assert report.psnr_holdout_corrected is None
    assert len(report.views) == 8
    assert report.psnr_train == pytest.approx(np.mean([view.psnr for view in report.views]))


def test_an_older_report_still_loads(material):
    told = json.loads(report_of(material).model_dump_json())
    for name in ("psnr_holdout_corrected", "ssim_train", "views", "fps"):
        del told[name]

    assert TrainingReport.model_validate(told).views == []
