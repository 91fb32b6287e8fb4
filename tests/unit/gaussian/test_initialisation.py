import dataclasses

import numpy as np
import pytest

from spaceport.errors import UserError
from spaceport_gaussian.initialisation import check_trainable, initial_gaussians, scene_extent


def gaussians_of(points, max_gaussians=1_000):
    colors = np.full((len(points), 3), 200, np.uint8)
    return initial_gaussians(
        np.float32(points), colors, extent=10.0, sh_degree=2, opacity=0.1, max_gaussians=max_gaussians, seed=3
    )


def test_a_gaussian_is_as_wide_as_the_way_to_its_neighbours_and_has_its_points_colour():
    grid = np.stack(np.meshgrid(*[np.arange(5) * 0.1] * 3), -1).reshape(-1, 3)

    gaussians = gaussians_of(grid)

    np.testing.assert_allclose(gaussians.scales, 0.1, rtol=1e-4)
    np.testing.assert_allclose(gaussians.opacities, 0.1, rtol=1e-5)
    np.testing.assert_allclose(0.5 + 0.28209479 * gaussians.sh[:, 0], 200 / 255, rtol=1e-5)
    assert gaussians.sh.shape == (125, 9, 3)


@pytest.mark.parametrize("points", [[[0, 0, 0]] * 4, [[0, 0, 0], [1e6, 0, 0]]])
def test_doubled_and_lone_points_get_sane_sizes(points):
    scales = gaussians_of(points).scales

    assert np.isfinite(scales).all()
    assert scales.min() > 0
    assert scales.max() <= 0.5  # of an extent of 10 m


def test_more_points_than_the_budget_are_thinned_alike_each_time():
    points = np.random.default_rng(0).normal(size=(500, 3))

    first, second = gaussians_of(points, 80), gaussians_of(points, 80)

    assert len(first) == 80
    np.testing.assert_array_equal(first.means, second.means)


def test_the_extent_is_that_of_the_cameras(survey):
    cameras = [view.camera for view in survey.views]  # out to (4, 3) metres from the middle one

    assert scene_extent(cameras, survey.points) == pytest.approx(1.1 * 5.0)


@pytest.mark.parametrize(
    ("points", "photos", "code"),
    [(49, 9, "too_few_points"), (200, 1, "too_few_photos"), (200, 0, "too_few_photos")],
)
def test_a_scene_too_small_to_learn_from_is_refused(survey, points, photos, code):
    scene = dataclasses.replace(survey, points=survey.points[:points])

    with pytest.raises(UserError) as refused:
        check_trainable(scene, photos)

    assert refused.value.code == code
    assert refused.value.hint
