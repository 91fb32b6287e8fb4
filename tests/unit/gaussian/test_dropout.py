"""DropGaussian: how many Gaussians an iteration leaves out, and that a run with it can be resumed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from spaceport.tuning import Tuning
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.policies.dropout import GaussianDropout
from spaceport_gaussian.recipe import recipe_for
from spaceport_gaussian.training import TrainingRun, train

CPU = torch.device("cpu")
TUNING = Tuning(max_iterations=40, train_max_size=96, max_gaussians=900, sh_degree=1, holdout=4, dropout=0.4)


def ignore(*_: object, **__: object) -> None:
    pass


@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.25, 0.05), (0.5, 0.1), (1.0, 0.2)])
def test_the_share_rises_to_the_asked_one_and_the_rest_makes_up_for_it(progress, share):
    factors = GaussianDropout(0.2, seed=3).factors(100_000, 17, progress, CPU)

    assert (factors == 0).float().mean() == pytest.approx(share, abs=0.005)
    assert torch.allclose(factors[factors > 0], torch.tensor(1 / (1 - share)))
    assert factors.mean() == pytest.approx(1.0, abs=0.01)  # as much is hidden as without, on average


def test_each_iteration_and_each_seed_leaves_out_others():
    dropped = [
        GaussianDropout(0.2, seed).factors(10_000, iterations, 1.0, CPU) == 0
        for seed, iterations in [(0, 1), (0, 2), (1, 1), (1, 2)]
    ]

    for one in dropped:
        for other in dropped:
            # Two independent draws of 0.2 have 0.04 in common.
            together = (one & other).float().mean()
            assert together == pytest.approx(0.2 if one is other else 0.04, abs=0.015)


def test_what_is_left_out_is_not_drawn_and_learns_nothing(survey):
    material = prepare(survey, TUNING, CPU)
    splat = start(material).splat
    factors = torch.ones(len(splat))
    factors[::2] = 0

    render = splat.render(material.photos.at(1.0)[0], opacity_factors=factors)
    render.image.sum().backward()

    assert (render.radii[::2] == 0).all()
    assert (render.radii[1::2] > 0).any()
    for tensor in splat.tensors.values():
        assert (tensor.grad[::2] == 0).all()


def test_a_run_with_dropout_goes_on_from_its_state_as_if_nothing_had_happened(survey):
    # Given a run of 40 iterations, and one that is stopped after 23
    material = prepare(survey, TUNING, CPU)
    whole, broken = start(material), start(material)
    train(whole, material.photos, material.recipe, watcher=ignore)
    train(
        broken,
        material.photos,
        material.recipe,
        watcher=ignore,
        stop_requested=lambda: broken.iterations == 23,
    )
    assert broken.iterations == 23

    # When the state of the latter goes on
    resumed = TrainingRun.restore(broken.state_dict(), material.recipe, extent=material.extent, device=CPU)
    train(resumed, material.photos, material.recipe, watcher=ignore)

    # Then both end with the same bits, which are not those of a run without dropout
    without = start(material)
    train(without, material.photos, dataclasses.replace(material.recipe, dropout=None), watcher=ignore)
    for name, tensor in whole.splat.tensors.items():
        assert torch.equal(tensor, resumed.splat.tensors[name]), name
    assert not torch.equal(whole.splat.opacity_logits, without.splat.opacity_logits)


def test_dropout_is_off_unless_asked_for():
    assert recipe_for(Tuning(), 1_000).dropout is None
    assert recipe_for(Tuning(dropout=0.2, seed=4), 1_000).dropout == GaussianDropout(0.2, seed=4)
