"""Blurred photos first: how blurred when, that it is a Gaussian blur, and that only training sees it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from spaceport.tuning import Resolution, Tuning
from spaceport_gaussian import photos as photos_module
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.photos import PhotoPyramid
from spaceport_gaussian.policies.blur import ProgressiveBlur
from spaceport_gaussian.training import train

CPU = torch.device("cpu")
TUNING = Tuning(
    max_iterations=240,
    resolution=Resolution.PHASES,
    train_max_size=96,
    max_gaussians=900,
    holdout=4,
    seed=5,
    progressive_blur=True,
)


def test_the_blur_is_halved_in_steps_and_then_gone():
    blur = ProgressiveBlur(start=0.08, levels=4, until=0.5)

    sigmas = [blur.sigma_at(progress) for progress in (0, 0.124, 0.125, 0.25, 0.375, 0.499, 0.5, 1)]

    assert sigmas == pytest.approx([0.08, 0.08, 0.04, 0.02, 0.01, 0.01, 0, 0])


def test_photos_are_blurred_by_a_gaussian_of_that_share_of_their_longer_side(survey):
    pyramid = PhotoPyramid(survey.views, CPU)
    sharp, blurred = pyramid.at(1.0)[4], pyramid.at(1.0, 0.03)[4]

    sigma = 0.03 * 96
    expected = gaussian_filter(sharp.pixels.numpy().astype(float), (sigma, sigma, 0), mode="nearest")
    assert np.abs(blurred.pixels.numpy() - expected).mean() < 1.0
    assert np.abs(sharp.pixels.numpy() - expected).mean() > 3.0
    assert blurred.camera == sharp.camera


def test_each_level_is_made_once_and_training_alone_sees_it(survey, monkeypatch):
    # Given a run that notes which photos are made
    made = []
    original = photos_module._blurred

    def noted(view, blur):
        made.append((view.camera.width, round(96 * blur, 2)))
        return original(view, blur)

    monkeypatch.setattr(photos_module, "_blurred", noted)
    material = prepare(survey, TUNING, CPU)
    run, tested = start(material), []

    train(
        run,
        material.photos,
        material.recipe,
        watcher=lambda _, step: tested.append(step.iterations) if step.tested_psnr is not None else None,
    )

    # Then the seven photos of each level are made one level after another, at the size of its phase
    levels = [(24, 0.48), (24, 0.24), (48, 0.12), (48, 0.06), (72, 0.0), (96, 0.0)]
    assert made == [level for level in levels for _ in range(7)]
    assert tested == [200]


def test_no_psnr_is_tested_while_photos_are_blurred(survey):
    # Given a target that the first test meets, and photos that are of full size from the start
    tuning = {"progressive_resolution": False, "target_psnr": 1.0, "max_iterations": 220}
    material = prepare(survey, TUNING.model_copy(update=tuning), CPU)
    run = start(material)

    train(run, material.photos, material.recipe, watcher=lambda *_: None)

    # Then that is not after 100 iterations, but after 200
    assert (run.stopped_by, run.iterations) == ("target_psnr", 200)
