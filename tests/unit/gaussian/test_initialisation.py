import dataclasses

import numpy as np
import pytest
import torch

from spaceport.tuning import Tuning
from spaceport_gaussian.initialisation import (
    initial_gaussians,
    scene_extent,
    starting_splat,
)
from spaceport_gaussian.recipe import recipe_for
from spaceport_gaussian.splat import Splat
from spaceport_render.seed_file import DenseSeeds


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


@pytest.fixture
def seeded(survey):
    """The survey with a seed 5 m above each tenth point; each second was told by the first photo too."""
    points = survey.points[::10] + np.float32([0, 0, 5])
    count = len(points)
    names = tuple(view.camera.name for view in survey.views)
    tellers = [[0, 1, 2] if index % 2 else [1, 2, 3] for index in range(count)]
    seeds = DenseSeeds(
        points=points,
        colors=np.full((count, 3), 90, np.uint8),
        confidence=np.full(count, 0.5, np.float32),
        photos=names,
        starts=np.arange(0, 3 * count + 1, 3),
        tellers=np.array(tellers, np.int32).ravel(),
        spacing=0.01,
    )
    return dataclasses.replace(survey, seeds=seeds)


@pytest.mark.parametrize("antialiased", [False, True])
def test_a_splat_is_delivered_to_be_drawn_as_it_learnt(antialiased):
    splat = Splat.of_gaussians(gaussians_of(np.eye(3)), torch.device("cpu"))
    splat.antialiased = antialiased
    assert splat.to_gaussians().antialiased == antialiased


def start_heights(scene, views, recipe):
    splat = starting_splat(scene, views, recipe, extent=5.0, seed=0, device=torch.device("cpu"))
    return splat.to_gaussians().means[:, 2]


def test_training_starts_without_seeds_that_held_out_photos_told(seeded):
    # Given a recipe with dense seeds
    recipe = recipe_for(Tuning(dense_seeds=True), 2_000)
    recipe = dataclasses.replace(recipe, seeding=None)

    # When the first photo is held out, or none is
    held_out = start_heights(seeded, seeded.views[1:], recipe)
    all_photos = start_heights(seeded, seeded.views, recipe)

    # Then half of the seeds are there, or all of them
    assert (all_photos > 4).sum() == len(seeded.seeds)
    assert (held_out > 4).sum() == len(seeded.seeds) // 2


def test_dense_seeds_take_no_more_than_their_share_of_the_budget(seeded):
    recipe = dataclasses.replace(recipe_for(Tuning(dense_seeds=True), 2_000), seeding=None, dense_share=0.01)

    assert 10 <= (start_heights(seeded, seeded.views, recipe) > 4).sum() <= 20


def test_without_being_asked_to_training_uses_no_dense_seeds(seeded):
    for tuning in (Tuning(dense_seeds=False), Tuning(dense_seeds=True, optimization_enabled=False)):
        recipe = dataclasses.replace(recipe_for(tuning, 2_000), seeding=None)

        assert (start_heights(seeded, seeded.views, recipe) < 4).all()
