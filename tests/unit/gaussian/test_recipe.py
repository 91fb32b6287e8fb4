"""How many Gaussians a scene gets."""

from __future__ import annotations

from spaceport.tuning import Tuning
from spaceport_gaussian.recipe import AT_SIZE, GAUSSIANS_PER_POINT, LEAST_BUDGET, gaussian_budget


def test_the_budget_follows_the_points_and_the_photos_size():
    small = Tuning(train_max_size=AT_SIZE, max_gaussians=10**9)
    assert gaussian_budget(small, 10_000) == round(10_000 * GAUSSIANS_PER_POINT)
    assert gaussian_budget(small, 20_000) == 2 * gaussian_budget(small, 10_000)
    large = small.model_copy(update={"train_max_size": 2 * AT_SIZE})
    assert gaussian_budget(large, 10_000) == 4 * gaussian_budget(small, 10_000)


def test_a_scene_with_few_points_still_gets_enough_and_none_more_than_the_maximum():
    tuning = Tuning(train_max_size=AT_SIZE, max_gaussians=50_000)
    assert gaussian_budget(tuning, 100) == LEAST_BUDGET
    assert gaussian_budget(tuning, 10**6) == 50_000
    assert gaussian_budget(tuning.model_copy(update={"max_gaussians": 500}), 100) == 500


def test_the_plain_recipe_takes_the_maximum():
    tuning = Tuning(train_max_size=AT_SIZE, max_gaussians=50_000, optimization_enabled=False)
    assert gaussian_budget(tuning, 100) == 50_000
