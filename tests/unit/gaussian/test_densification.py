from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spaceport_gaussian.optimisation import Edit, GaussianOptimiser, LearningRates
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.policies.adaptive_density_control import AdaptiveDensityControl, OpacityReset
from spaceport_gaussian.policies.births import draw_by_score, halves, rotation_matrices
from spaceport_gaussian.policies.budgeted_densification import BudgetedDensification
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation
from spaceport_gaussian.policies.pull import PullStatistics
from spaceport_gaussian.splat import PARAMETERS, Splat

EXTENT = 10.0


def splat_of(count: int, seed: int = 0) -> Splat:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random)

    return Splat.of(
        {
            "means": normal(count, 3),
            "quats": normal(count, 4),
            "log_scales": 0.3 * normal(count, 3) - 2,
            "opacity_logits": normal(count),
            "sh_dc": normal(count, 1, 3),
            "sh_rest": normal(count, 3, 3),
        }
    )


def pulled(pull: list[float]) -> PullStatistics:
    return PullStatistics(torch.tensor(pull), torch.ones(len(pull)))


def edit_of(policy, splat, pull, progress=0.5, initial_count=None) -> Edit:
    situation = Situation(
        splat=splat,
        pull=pull,
        photos=(),
        sh_degree=1,
        iterations=round(1000 * progress),
        max_iterations=1000,
        initial_count=initial_count or len(splat),
        extent=EXTENT,
        generator=torch.Generator().manual_seed(0),
    )
    return policy.edit(situation)


def test_the_count_follows_a_straight_line_to_the_budget():
    policy = BudgetedDensification(300, Cadence(start=0.1, stop=0.6, every=1 / 30))
    splat = splat_of(100)
    optimiser = GaussianOptimiser(splat, LearningRates(), EXTENT)

    counts = []
    for progress in (0.1, 0.35, 0.6, 0.9):
        pull = PullStatistics(torch.ones(len(splat)), torch.ones(len(splat)))
        optimiser.apply(edit_of(policy, splat, pull, progress, initial_count=100))
        counts.append(len(splat))

    assert counts == [100, 200, 300, 300]


def test_what_is_pulled_hardest_is_cut_and_what_is_not_pulled_is_left():
    pull = [0.0] * 50
    pull[7] = pull[30] = 1.0

    edit = edit_of(BudgetedDensification(max_gaussians=200), splat_of(50), pulled(pull))

    assert sorted(set(range(50)) - set(edit.survivors.tolist())) == [7, 30]
    assert len(edit.born["means"]) == 4


def test_faint_gaussians_are_taken_away_and_large_ones_are_not():
    splat = splat_of(20)
    with torch.no_grad():
        splat.opacity_logits[3] = -8.0  # 0.0003
        splat.log_scales[5, 1] = np.log(0.2 * EXTENT)

    edit = edit_of(BudgetedDensification(max_gaussians=20), splat, pulled([0.0] * 20))

    assert sorted(set(range(20)) - set(edit.survivors.tolist())) == [3]


def test_halves_keep_mean_covariance_and_mass():
    splat = splat_of(8)

    born = halves(splat, torch.arange(8))

    def covariance(quats: torch.Tensor, log_scales: torch.Tensor) -> torch.Tensor:
        axes = rotation_matrices(quats) * log_scales.exp()[:, None]
        return axes @ axes.transpose(1, 2)

    offsets = (born["means"] - splat.means.detach().repeat(2, 1))[..., None]
    within = covariance(born["quats"], born["log_scales"])
    total = (within + offsets @ offsets.transpose(1, 2)).reshape(2, 8, 3, 3).mean(0)
    torch.testing.assert_close(born["means"].reshape(2, 8, 3).mean(0), splat.means.detach())
    torch.testing.assert_close(total, covariance(splat.quats, splat.log_scales).detach())
    volumes = born["log_scales"].sum(1).exp().reshape(2, 8).sum(0)
    torch.testing.assert_close(volumes, splat.log_scales.detach().sum(1).exp())


def test_optimiser_moments_follow_their_gaussians():
    splat = splat_of(6)
    optimiser = GaussianOptimiser(splat, LearningRates(), EXTENT)
    sum((tensor**2).sum() for tensor in splat.tensors.values()).backward()
    optimiser.step(0.0)
    before = {name: optimiser.moments(name)[1].clone() for name in PARAMETERS}
    born = {name: tensor.detach()[:2] for name, tensor in splat.tensors.items()}

    optimiser.apply(Edit(torch.tensor([1, 3, 4]), born))

    assert len(splat) == 5
    for name in PARAMETERS:
        kept = optimiser.moments(name)[1]
        torch.testing.assert_close(kept[:3], before[name][[1, 3, 4]])
        assert not kept[3:].any()
    # and the new tensors are what is optimised from now on
    old = splat.means.detach().clone()
    splat.means.sum().backward()
    optimiser.step(0.0)
    assert (splat.means != old).all()


def test_the_pull_means_the_same_at_every_size_of_the_photos():
    def statistics_at(width: int, height: int) -> PullStatistics:
        # half the pixels: a shift by one of them is twice the way, so the gradient by it doubles
        gradient = torch.tensor([[0.2, 0.1], [0.0, 0.0]]) * (100 / width)
        render = SimpleNamespace(
            mean_gradients=lambda: SimpleNamespace(absolute=gradient), radii=torch.tensor([3, 0])
        )
        photo = Photo(SimpleNamespace(width=width, height=height), *[torch.empty(0)] * 3)
        statistics = PullStatistics.empty(2, torch.device("cpu"))
        statistics.observe(render, photo, absolute=True)
        return statistics

    full, half = statistics_at(100, 60), statistics_at(50, 30)

    torch.testing.assert_close(full.mean(), half.mean())
    assert full.views.tolist() == [1, 0]


def test_the_plain_recipe_clones_small_and_splits_large_gaussians():
    splat = splat_of(3)
    with torch.no_grad():
        splat.log_scales[0] = np.log(0.005 * EXTENT)
        splat.log_scales[1] = np.log(0.05 * EXTENT)

    edit = edit_of(
        AdaptiveDensityControl(max_gaussians=100), splat, pulled([1e-3, 1e-3, 1e-5]), progress=0.05
    )

    assert edit.survivors.tolist() == [0, 2]  # the large one makes way for its two parts
    assert len(edit.born["means"]) == 3
    torch.testing.assert_close(edit.born["means"][0], splat.means.detach()[0])
    torch.testing.assert_close(
        edit.born["log_scales"][1], splat.log_scales.detach()[1] - np.log(1.6).astype("f")
    )


def test_the_plain_recipe_lowers_opacities_now_and_then_and_they_rise_again():
    splat = splat_of(4)
    optimiser = GaussianOptimiser(splat, LearningRates(), EXTENT)
    due = [done for done in range(1, 30_001) if OpacityReset().is_due(done, 30_000)]
    assert due == [3_000, 6_000, 9_000, 12_000]

    optimiser.lower_opacities(0.01)
    assert splat.opacities.max() <= 0.0101

    (-splat.opacities.sum()).backward()
    optimiser.step(0.5)
    assert splat.opacities.max() > 0.0101


@pytest.mark.parametrize("policy", [BudgetedDensification(500), AdaptiveDensityControl(500)])
def test_fifty_iterations_are_enough_to_see_edits(policy):
    assert sum(policy.is_due(done, 50) for done in range(1, 51)) >= 2


def test_the_draw_follows_the_scores():
    # Given three candidates of which one scores nothing
    random = torch.Generator().manual_seed(3)
    score = torch.tensor([1.0, 0.0, 3.0])

    # When one of them is drawn, often
    drawn = torch.cat([draw_by_score(score, 1, random) for _ in range(2_000)])

    # Then it is the third three times as often as the first, and never the second
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    assert shares.tolist() == pytest.approx([0.25, 0.0, 0.75], abs=0.03)
    assert draw_by_score(score, 3, random).tolist() == [0, 2]


def test_there_may_be_more_candidates_than_torch_multinomial_takes():
    score = torch.zeros(2**24 + 1)
    score[[5, 2**24]] = 1.0

    assert draw_by_score(score, 10, torch.Generator().manual_seed(0)).tolist() == [5, 2**24]
