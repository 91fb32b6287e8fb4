"""How many Gaussians a scene gets, and which policies a setting stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spaceport.tuning import Densify, Tuning
from spaceport_gaussian.policies.adaptive_density_control import AdaptiveDensityControl
from spaceport_gaussian.policies.budgeted_densification import BudgetedDensification
from spaceport_gaussian.policies.consistent_densification import ConsistentDensification
from spaceport_gaussian.policies.opacity_decay import OpacityDecay
from spaceport_gaussian.policies.relocation import PositionNoise, Relocation
from spaceport_gaussian.policies.significance_pruning import SignificancePruning
from spaceport_gaussian.policies.size_limit import SizeLimit
from spaceport_gaussian.recipe import (
    AT_SIZE,
    GAUSSIANS_PER_POINT,
    LEAST_BUDGET,
    gaussian_budget,
    plain_recipe,
    recipe_for,
    settled,
)


def test_the_budget_follows_the_points_and_the_photos_size():
    small = Tuning(train_max_size=AT_SIZE, max_gaussians=10**9)
    assert gaussian_budget(small, 10_000) == round(10_000 * GAUSSIANS_PER_POINT)
    assert gaussian_budget(small, 20_000) == 2 * gaussian_budget(small, 10_000)
    large = small.model_copy(update={"train_max_size": 2 * AT_SIZE})
    assert gaussian_budget(large, 10_000) == 2 * gaussian_budget(small, 10_000)


def test_a_scene_with_few_points_still_gets_enough_and_none_more_than_the_maximum():
    tuning = Tuning(train_max_size=AT_SIZE, max_gaussians=50_000)
    assert gaussian_budget(tuning, 100) == LEAST_BUDGET
    assert gaussian_budget(tuning, 10**6) == 50_000
    assert gaussian_budget(tuning.model_copy(update={"max_gaussians": 500}), 100) == 500


def test_the_plain_recipe_takes_the_maximum():
    tuning = Tuning(train_max_size=AT_SIZE, max_gaussians=50_000, optimization_enabled=False)
    assert gaussian_budget(tuning, 100) == 50_000


@pytest.mark.parametrize(
    ("densify", "policy"),
    [
        (Densify.BUDGET, BudgetedDensification),
        (Densify.CONSISTENT, ConsistentDensification),
        (Densify.RELOCATE, Relocation),
        (Densify.GRADIENT, AdaptiveDensityControl),
    ],
)
def test_densify_names_the_policy_of_growth(densify, policy):
    recipe = recipe_for(Tuning.model_validate({"densify": str(densify)}), 7_000)

    assert type(recipe.densification) is policy
    assert recipe.densification.max_gaussians == 7_000


def test_without_densification_the_first_gaussians_are_all():
    assert recipe_for(Tuning(densify=Densify.NONE), 7_000).densification is None


def test_the_other_policies_of_growth_are_off_until_asked_for():
    off = recipe_for(Tuning(), 7_000)
    on = recipe_for(Tuning(prune_insignificant=True, opacity_decay=True, position_noise=5e5), 7_000)

    assert (type(off.densification), off.pruning, off.adjustments) == (
        BudgetedDensification,
        (),
        (SizeLimit(),),
    )
    assert on.pruning == (SignificancePruning(),)
    assert on.adjustments == (PositionNoise(5e5), OpacityDecay(), SizeLimit())
    assert recipe_for(Tuning(limit_size=False), 7_000).adjustments == ()


def test_the_plain_recipe_knows_none_of_them():
    asked = Tuning(
        optimization_enabled=False,
        densify=Densify.CONSISTENT,
        prune_insignificant=True,
        opacity_decay=True,
        position_noise=5e5,
    )

    assert recipe_for(asked, 7_000) == plain_recipe(Tuning(optimization_enabled=False), 7_000)


def test_gaussians_are_dropped_where_few_photos_show_a_point_and_the_tuning_says_nothing(survey):
    # Given two photos that show the same ground, and forty
    few = replace(survey, views=survey.views[3:5])
    many = replace(survey, views=survey.views[3:5] * 20)

    assert settled(Tuning(), few).dropout == 0.2
    assert settled(Tuning(), many).dropout == 0
    assert settled(Tuning(dropout=0.0), few).dropout == 0
    assert settled(Tuning(dropout=0.3), many).dropout == 0.3
