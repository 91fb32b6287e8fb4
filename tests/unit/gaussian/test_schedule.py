from dataclasses import replace

import numpy as np
import pytest
import torch

from spaceport.tuning import Resolution, Tuning
from spaceport_gaussian.material import prepare
from spaceport_gaussian.optimisation import LearningRates
from spaceport_gaussian.policies.harmonics import HarmonicsRamp
from spaceport_gaussian.policies.resolution import (
    SCALES,
    FrequencyContent,
    constant_resolution,
    progressive_resolution,
    spectral_content,
)


@pytest.mark.parametrize(
    ("iteration", "scale"),
    [
        (0, 0.25),
        (4_999, 0.25),
        (5_000, 0.5),
        (9_999, 0.5),
        (10_000, 0.75),
        (14_999, 0.75),
        (15_000, 1.0),
        (29_999, 1.0),
    ],
)
def test_a_large_budget_changes_size_every_5000_iterations(iteration, scale):
    assert progressive_resolution(30_000).scale_at(iteration) == scale


@pytest.mark.parametrize("budget", [50, 1_500, 15_000])
def test_a_budget_up_to_15000_changes_size_at_its_quarters(budget):
    schedule = progressive_resolution(budget)

    for quarter, scale in enumerate((0.25, 0.5, 0.75, 1.0)):
        first = budget * quarter // 4
        assert schedule.scale_at(first) == scale
        assert schedule.is_full(first) == (quarter == 3)
        if first:
            assert schedule.scale_at(first - 1) < scale


def test_without_progressive_resolution_every_iteration_has_full_size():
    assert constant_resolution().is_full(0)


def photo_of_spectrum(falling):
    """A photo of random phases whose magnitudes are `falling` of the frequency, cycles a pixel."""
    phases = np.exp(2j * np.pi * np.random.default_rng(2).random((128, 192)))
    frequencies = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(192))
    frequencies[0, 0] = frequencies[0, 1]
    grey = np.fft.ifft2(falling(frequencies) * phases).real
    grey = 127 + 100 * grey / np.abs(grey).max()
    return np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=2)


def test_photos_whose_magnitudes_fall_as_the_frequency_rises_get_quarters():
    schedule = FrequencyContent(least=0.2).schedule([photo_of_spectrum(lambda f: 1 / f)], 1_000)

    assert schedule.scales == SCALES
    assert schedule.switches == pytest.approx((250, 500, 750), abs=50)


def test_finer_texture_leaves_small_sizes_sooner():
    # Given photos of the same frequencies, the softer the farther down
    falling = [photo_of_spectrum(lambda f, by=by: f**-by) for by in (0.5, 1.0, 1.5)]

    fine, usual, soft = (FrequencyContent(least=0.0).schedule([photo], 1_000) for photo in falling)

    for sooner, later in ((fine, usual), (usual, soft)):
        assert all(a < b or b == 850 for a, b in zip(sooner.switches, later.switches, strict=True))


def test_a_size_that_shows_less_than_a_quarter_is_left_out():
    # Given noise: a size shows as much of it as it has pixels
    noise = photo_of_spectrum(np.ones_like)
    assert spectral_content([noise], SCALES) == pytest.approx([1 / 16, 1 / 4, 9 / 16, 1], abs=0.05)

    schedule = FrequencyContent(least=0.2).schedule([noise], 1_000)

    assert schedule.scales == (0.5, 0.75, 1.0)
    assert schedule.switches == pytest.approx((250, 562), abs=50)


def test_even_photos_that_show_nothing_are_trained_on_at_full_size_in_the_end():
    schedule = FrequencyContent().schedule([np.full((64, 96, 3), 90, np.uint8)], 100)

    assert [schedule.scale_at(iteration) for iteration in (0, 84, 85, 99)] == [0.25, 0.25, 1.0, 1.0]


def test_by_frequency_only_the_photos_to_train_on_count_and_the_means_keep_their_rate(survey):
    tuning = Tuning(max_iterations=100, train_max_size=96, holdout=4, resolution=Resolution.FREQUENCY)
    noisy = np.random.default_rng(0).integers(0, 255, survey.views[0].pixels.shape).astype(np.uint8)
    painted = replace(
        survey,
        views=tuple(
            replace(view, pixels=noisy) if index % 4 == 2 else view for index, view in enumerate(survey.views)
        ),
    )

    recipe, other = (prepare(scene, tuning, torch.device("cpu")).recipe for scene in (survey, painted))

    assert recipe == other
    assert recipe.resolution != progressive_resolution(100)
    assert recipe.rates.hold == recipe.resolution.switches[-1] / 100
    never = tuning.model_copy(update={"progressive_resolution": False})
    assert prepare(survey, never, torch.device("cpu")).recipe.resolution == constant_resolution()


def test_harmonics_come_in_one_degree_at_a_time():
    ramp = HarmonicsRamp(max_degree=2, every=0.25)

    assert [ramp.degree_at(progress) for progress in (0, 0.24, 0.25, 0.49, 0.5, 0.75, 1)] == [
        0,
        0,
        1,
        1,
        2,
        2,
        2,
    ]


def test_the_rate_of_the_means_is_held_and_then_falls_exponentially():
    rates = LearningRates(means=1e-3, means_end=0.01, hold=0.5)

    assert rates.means_at(0) == rates.means_at(0.5) == 1e-3
    assert rates.means_at(0.75) == pytest.approx(1e-4)
    assert rates.means_at(1) == pytest.approx(1e-5)
