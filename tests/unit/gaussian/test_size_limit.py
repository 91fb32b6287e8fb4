"""Sizes that are held to a share of the scene."""

from __future__ import annotations

import pytest
import torch
from overhead import balls, situation_of

from spaceport_gaussian.optimisation import GaussianOptimiser, LearningRates
from spaceport_gaussian.policies.size_limit import SizeLimit


def test_what_is_too_large_is_made_as_large_as_may_be_and_no_other_changes():
    # Given a scene of 10 m with a Gaussian of 5 m, a disc of 3 m, and a small one
    splat = balls(torch.zeros(3, 3), opacity=0.5)
    with torch.no_grad():
        splat.log_scales.copy_(torch.tensor([[5.0, 5.0, 5.0], [3.0, 3.0, 0.01], [0.2, 0.3, 0.4]]).log())
    optimiser = GaussianOptimiser(splat, LearningRates(), extent=10.0)
    situation = situation_of(splat)
    # When sizes are held to a tenth of it
    SizeLimit(max_scale=0.1).adjust(situation, optimiser)
    # Then only what was larger is smaller, axis by axis
    largest = 0.1 * situation.extent
    expected = torch.tensor([[5.0, 5.0, 5.0], [3.0, 3.0, 0.01], [0.2, 0.3, 0.4]]).clamp(max=largest)
    torch.testing.assert_close(splat.scales.detach(), expected)


def test_it_acts_until_the_last_iteration():
    limit = SizeLimit()
    due = [done for done in range(1, 1501) if limit.is_due(done, 1500)]
    assert due[-1] == 1500
    assert len(due) == pytest.approx(100, abs=1)
