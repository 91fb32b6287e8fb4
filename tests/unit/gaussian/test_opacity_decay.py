"""Opacities that fade all the time."""

from __future__ import annotations

import pytest
import torch
from overhead import balls, situation_of

from spaceport_gaussian.optimisation import GaussianOptimiser, LearningRates
from spaceport_gaussian.policies.budgeted_densification import BudgetedDensification
from spaceport_gaussian.policies.opacity_decay import OpacityDecay


def test_all_opacities_fade_by_the_same_factor_and_keep_their_momentum():
    opacities = torch.tensor([0.001, 0.3, 0.99])
    splat = balls(torch.zeros(3, 3), opacity=opacities)
    optimiser = GaussianOptimiser(splat, LearningRates(), extent=10.0)
    splat.opacities.sum().backward()
    optimiser.step(0.0)
    before, moments = splat.opacities.detach(), optimiser.moments("opacity_logits")

    OpacityDecay(factor=0.9).adjust(situation_of(splat), optimiser)

    torch.testing.assert_close(splat.opacities.detach(), 0.9 * before)
    assert optimiser.moments("opacity_logits") == moments


def test_they_fade_only_while_what_fades_is_taken_away():
    growth, decay = BudgetedDensification(100).cadence, OpacityDecay()

    due = [done for done in range(1, 6001) if decay.is_due(done, 6000)]

    assert min(due) >= growth.start * 6000
    assert max(due) <= growth.stop * 6000
    assert len(due) == pytest.approx(210, abs=2)


def test_what_no_photo_holds_up_is_gone_before_the_last_edit():
    # Given a Gaussian of full opacity that no gradient ever reaches
    splat = balls(torch.zeros(1, 3), opacity=0.9)
    optimiser = GaussianOptimiser(splat, LearningRates(), extent=10.0)
    decay, growth = OpacityDecay(), BudgetedDensification(100)

    for done in range(1, 1501):
        if decay.is_due(done, 1500):
            decay.adjust(situation_of(splat), optimiser)

    assert splat.opacities < growth.min_opacity
