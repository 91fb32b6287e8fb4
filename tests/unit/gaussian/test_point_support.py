"""Detail goes where SfM found points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from overhead import balls, situation_of

from spaceport.tuning import Resolution, Tuning
from spaceport_gaussian.policies.budgeted_densification import BudgetedDensification
from spaceport_gaussian.policies.point_support import PointSupport
from spaceport_gaussian.recipe import plain_recipe, recipe_for


def lawn(spacing: float) -> np.ndarray:
    """Points of a ground 20 m x 20 m, (P, 3)."""
    x, y = np.meshgrid(np.arange(-10, 10, spacing), np.arange(-10, 10, spacing))
    return np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3).astype(np.float32)


def test_places_among_the_points_are_supported_and_others_by_the_square_of_their_distance():
    support = PointSupport().of(lawn(1.0))
    outside = 9.0 + support.radius

    found = support.at(
        torch.tensor([[0.3, 0.2, 0.1], [outside + 1e-3, 0, 0], [9 + 2 * support.radius, 0, 0]])
    )

    assert found.tolist() == pytest.approx([1.0, 1.0, 0.25], abs=1e-3)


def test_a_stray_point_supports_nothing():
    support = PointSupport().of(np.concatenate([lawn(1.0), [[0, 0, 50]]]).astype(np.float32))

    assert support.at(torch.tensor([[0.0, 0.0, 50.0]])).item() < 0.01


def test_nothing_supports_a_place_that_is_not_finite():
    support = PointSupport().of(lawn(1.0))

    assert support.at(torch.tensor([[float("nan"), 0.0, 0.0], [0.0, float("inf"), 0.0]])).tolist() == [0, 0]


def test_a_scene_of_half_the_size_has_the_same_support():
    points, places = lawn(1.0), torch.tensor([[0.0, 0.0, 1.0], [14.0, 3.0, 0.0], [30.0, 0.0, 0.0]])

    whole, half = PointSupport().of(points), PointSupport().of(points / 2)

    torch.testing.assert_close(whole.at(places), half.at(places / 2))


def test_too_few_points_tell_nothing():
    support = PointSupport(neighbours=8).of(lawn(10.0))

    assert support.at(torch.tensor([[99.0, 0.0, 0.0]])).tolist() == [1.0]


def test_only_what_points_support_is_cut_when_all_are_pulled_alike():
    # Given 40 Gaussians among the points and 40 where there are none
    means = torch.rand(80, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([8.0, 8.0, 0.1])
    means[40:, 2] += 500
    told = situation_of(balls(means), progress=0.75, initial_count=80)

    # When the budget has room for 20 more
    policy = BudgetedDensification(100)
    unaware = policy.edit(told)
    aware = policy.edit(replace(told, support=PointSupport().of(lawn(1.0))))

    # Then they come from those among the points, and without points from both
    def cut(edit):
        return sorted(set(range(80)) - set(edit.survivors.tolist()))

    assert len(cut(aware)) == len(cut(unaware)) == 20
    assert max(cut(aware)) < 40 <= max(cut(unaware))


def test_a_recipe_goes_by_the_points_of_its_scene_unless_told_not_to():
    phases = Tuning(resolution=Resolution.PHASES)
    asked, unasked = (
        recipe_for(t, 100) for t in (phases, phases.model_copy(update={"point_support": False}))
    )

    assert asked.fitted_to((), lawn(1.0)).support.tree.n == len(lawn(1.0))
    assert unasked.fitted_to((), lawn(1.0)).support is None
    assert plain_recipe(phases, 100).fitted_to((), lawn(1.0)).support is None
    assert repr(asked.fitted_to((), lawn(1.0))) == repr(asked)  # a checkpoint knows the recipe by this
