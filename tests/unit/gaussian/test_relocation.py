"""3DGS as Markov Chain Monte Carlo: where the dead go, how they then look, and what jolts them."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import pytest
import torch
from overhead import above, balls, situation_of

from spaceport_gaussian.optimisation import GaussianOptimiser, LearningRates
from spaceport_gaussian.policies.births import rotation_matrices
from spaceport_gaussian.policies.relocation import (
    MAX_SHARERS,
    PositionNoise,
    Relocation,
    draw_with_return,
    shared,
)

VIEW = above(0, 0)


@pytest.fixture
def splat():
    random = torch.Generator().manual_seed(2)
    places = (torch.rand(80, 3, generator=random) - 0.5) * torch.tensor([18.0, 12.0, 1.0])
    return balls(places, 0.6, 0.2 + 0.7 * torch.rand(80, generator=random))


def image_of(splat):
    with torch.no_grad():
        return splat.render(VIEW).image


def scale_of_the_paper(opacity: float, n: int) -> float:
    """Its double sum, term by term, in whole fractions."""
    each = Fraction(1 - (1 - opacity) ** (1 / n))
    total = 0.0
    for k in range(n):
        term = sum(math.comb(i - 1, k) for i in range(k + 1, n + 1)) * (-1) ** k * each ** (k + 1)
        total += Fraction(term) / Fraction(math.sqrt(k + 1))
    return float(opacity / total)


@pytest.mark.parametrize("n", [1, 2, 3, 10, MAX_SHARERS])
def test_sharers_have_the_opacity_and_size_of_the_paper(n):
    whole = torch.tensor([0.01, 0.3, 0.9, 0.99])

    opacities, scales = shared(whole, torch.ones(4, 3), torch.full((4,), n))

    torch.testing.assert_close(1 - (1 - opacities.double()) ** n, whole.double(), rtol=1e-4, atol=1e-6)
    expected = torch.tensor([scale_of_the_paper(value, n) for value in whole.tolist()])
    torch.testing.assert_close(scales, expected[:, None].expand(-1, 3), rtol=1e-4, atol=0)


def test_more_sharers_than_the_sum_has_terms_are_as_that_many():
    one = torch.tensor([0.9]), torch.ones(1, 3)

    most, more = (shared(*one, torch.tensor([n])) for n in (MAX_SHARERS, 1000))

    assert torch.equal(most[0], more[0])
    assert torch.isfinite(more[1]).all()


def test_the_dead_go_to_the_living_and_the_render_stays_as_it_was(splat):
    # Given a quarter that has faded
    with torch.no_grad():
        splat.opacity_logits[::4] = -7.0  # 0.0009
    before = image_of(splat)
    places = splat.means.detach().tolist()
    living = {
        tuple(place): logit
        for place, logit in zip(places, splat.opacity_logits.tolist(), strict=True)
        if logit > -6
    }
    optimiser = GaussianOptimiser(splat, LearningRates(), extent=10.0)

    # When there is room for no more
    optimiser.apply(Relocation(max_gaussians=len(splat)).edit(situation_of(splat)))

    # Then as many are there as before, each where a living one was, and the render hardly changes
    assert len(splat) == 80
    assert splat.opacities.min() >= 0.005
    landed = [tuple(place) for place in splat.means.detach().tolist()]
    assert set(landed) == set(living)
    changed = (image_of(splat) - before).abs().mean()
    assert changed < 0.03 * before.mean()

    # as it would if each were like the one that was there
    with torch.no_grad():
        splat.opacity_logits.copy_(torch.tensor([living[place] for place in landed]))
        splat.log_scales.fill_(math.log(0.6))
    assert (image_of(splat) - before).abs().mean() > 4 * changed


def test_the_count_follows_the_line_to_the_budget(splat):
    policy = Relocation(max_gaussians=200)
    optimiser = GaussianOptimiser(splat, LearningRates(), extent=10.0)
    middle = (policy.cadence.start + policy.cadence.stop) / 2

    counts = []
    for progress in (policy.cadence.start, middle, policy.cadence.stop, 0.9):
        optimiser.apply(policy.edit(situation_of(splat, progress=progress, initial_count=80)))
        counts.append(len(splat))

    assert counts == [80, 140, 200, 200]


def test_where_all_have_faded_nothing_is_born(splat):
    with torch.no_grad():
        splat.opacity_logits.fill_(-9.0)

    edit = Relocation(max_gaussians=200).edit(situation_of(splat))

    assert not len(edit.survivors)
    assert not len(edit.born["means"])


def test_the_draw_with_return_follows_the_odds():
    odds = torch.tensor([0.0, 1.0, 0.0, 3.0, 0.0])

    drawn = draw_with_return(odds, 4_000, torch.Generator().manual_seed(1))

    assert drawn.sum() == 4_000
    assert drawn[[0, 2, 4]].sum() == 0
    assert drawn[3].item() / 4_000 == pytest.approx(0.75, abs=0.03)


def jolts(splat, strength=5e5, extent=10.0, seed=0):
    """How far `PositionNoise` moves each Gaussian after a step of no gradient at all."""
    optimiser = GaussianOptimiser(splat, LearningRates(), extent)
    optimiser.step(0.0)
    before = splat.means.detach().clone()
    told = situation_of(splat)
    told = dataclasses.replace(told, extent=extent, generator=told.generator.manual_seed(seed))
    PositionNoise(strength).adjust(told, optimiser)
    return splat.means.detach() - before


def test_only_the_faint_are_jolted():
    opacities = torch.tensor([0.002, 0.05, 0.9]).repeat_interleave(500)

    moved = jolts(balls(torch.zeros(1500, 3), 0.1, opacities)).norm(dim=1).reshape(3, 500).mean(dim=1)

    assert moved[0] > 50 * moved[1] > 50 * moved[2]


def test_the_noise_has_the_shape_of_the_gaussian():
    # Given many alike, turned, long and thin
    splat = balls(torch.zeros(20_000, 3), 0.1, 0.001)
    with torch.no_grad():
        splat.log_scales.copy_(torch.tensor([0.4, 0.2, 0.05]).log().expand(20_000, 3))
        splat.quats.copy_(torch.tensor([0.9, 0.3, -0.2, 0.4]).expand(20_000, 4))

    moved = jolts(splat)

    # Then their jolts are the covariance times plain noise, at the rate of the paper
    axes = rotation_matrices(splat.quats.detach()[:1])[0]
    covariance = axes @ torch.diag(torch.tensor([0.4, 0.2, 0.05]) ** 2) @ axes.T
    rate = 5e5 * 1.6e-4 * 10.0 / 10.0**2 * torch.sigmoid(torch.tensor(100 * (0.005 - 0.001)))
    expected = rate**2 * covariance @ covariance
    torch.testing.assert_close(
        moved.T @ moved / len(moved), expected, rtol=0.05, atol=0.02 * expected.max().item()
    )


def test_the_noise_means_the_same_in_a_scene_ten_times_as_large():
    small = jolts(balls(torch.zeros(50, 3), 0.1, 0.003), extent=10.0)
    large = jolts(balls(torch.zeros(50, 3), 1.0, 0.003), extent=100.0)

    torch.testing.assert_close(large, 10 * small)


def test_each_iteration_draws_noise_of_its_own_and_a_seed_gives_the_same():
    def moved(seed):
        return jolts(balls(torch.zeros(50, 3), 0.1, 0.003), seed=seed)

    assert torch.equal(moved(3), moved(3))
    assert not torch.equal(moved(3), moved(4))
