"""The average of a run's last splats: what is in it, when it begins anew, and that it is delivered."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from spaceport.tuning import Resolution, Tuning
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.optimisation import Edit
from spaceport_gaussian.policies.averaging import WeightAveraging
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training import TrainingRun, train

CPU = torch.device("cpu")
TUNING = Tuning(
    max_iterations=60,
    resolution=Resolution.PHASES,
    train_max_size=96,
    max_gaussians=900,
    sh_degree=1,
    holdout=4,
    seed=5,
    averaging=True,
)
AVERAGING = WeightAveraging(Cadence(0.75, 1.0, 1 / 100), window=0.05)


def splat_of(seed: int, count: int = 4) -> Splat:
    random = torch.Generator().manual_seed(seed)
    shapes = {"means": (3,), "quats": (4,), "log_scales": (3,), "opacity_logits": ()}
    shapes |= {"sh_dc": (1, 3), "sh_rest": (3, 3)}
    return Splat.of({name: torch.randn((count, *shape), generator=random) for name, shape in shapes.items()})


def average_of(splats, max_iterations=100):
    average = None
    for splat in splats:
        average = AVERAGING.taking(splat, average, max_iterations)
    return average


def test_up_to_a_windows_worth_of_splats_have_equal_weight():
    # Given as many splats as the window has room for: a twentieth of 100 iterations
    splats = [splat_of(seed) for seed in range(5)]
    before = [splat.means.detach().clone() for splat in splats]

    average = average_of(splats)

    # Then all but the rotations are their plain means, and the splats are as they were
    for name in ("means", "log_scales", "opacity_logits", "sh_dc", "sh_rest"):
        mean = torch.stack([splat.tensors[name].detach() for splat in splats]).mean(dim=0)
        torch.testing.assert_close(average.splat.tensors[name], mean)
    for splat, means in zip(splats, before, strict=True):
        assert torch.equal(splat.means, means)


def test_later_splats_push_the_early_ones_out():
    first, rest = splat_of(0), splat_of(1)

    average = average_of([first] + [rest] * 40)

    torch.testing.assert_close(average.splat.means, rest.means.detach(), atol=2e-3, rtol=0)


def test_a_rotation_written_as_its_opposite_or_at_another_length_averages_to_itself():
    splat = splat_of(0)
    same = dataclasses.replace(splat, quats=-3 * splat.quats.detach())

    average = average_of([splat, same])

    expected = torch.nn.functional.normalize(splat.quats.detach(), dim=-1)
    torch.testing.assert_close(average.splat.quats, expected)


def trained(material, watcher=lambda *_: None) -> TrainingRun:
    run = start(material)
    train(run, material.photos, material.recipe, watcher=watcher)
    return run


def test_the_average_of_the_iterations_after_densification_is_delivered(survey):
    # Given a run that keeps each iteration's means
    material = prepare(survey, TUNING, CPU)
    seen = {}
    run = trained(
        material, lambda run, step: seen.update({step.iterations: run.splat.means.detach().clone()})
    )

    # Then what is left is the average by the policy's own weights, since the last edit (at 45 of 60)
    expected, taken = seen[45], 1
    for iterations in range(46, 61):
        weight = material.recipe.averaging.weight(taken, 60)
        expected, taken = expected + weight * (seen[iterations] - expected), taken + 1
    torch.testing.assert_close(run.splat.means.detach(), expected)
    assert not torch.equal(run.splat.means, seen[60])


def test_averaging_leaves_the_way_of_the_optimiser_alone(survey):
    # Given the same run with and without averaging
    def way(averaging: bool) -> list[torch.Tensor]:
        means = []
        material = prepare(survey, TUNING.model_copy(update={"averaging": averaging}), CPU)
        run = trained(material, lambda run, _: means.append(run.splat.means.detach().clone()))
        return [*means, *run.optimiser.moments("means")]

    # Then each iteration's means are the same, and so is what the optimiser knows in the end
    for one, other in zip(way(True), way(False), strict=True):
        assert torch.equal(one, other)


def test_an_edit_begins_the_average_anew(survey):
    run = start(prepare(survey, TUNING, CPU))
    run.average = average_of([run.splat] * 3)

    run.apply(
        Edit(torch.arange(10), {name: tensor[:0].detach() for name, tensor in run.splat.tensors.items()})
    )

    assert run.average is None
    assert run.best_splat is run.splat


def test_bands_that_were_taken_away_do_not_come_back_with_the_average():
    splat = splat_of(0)
    average = average_of([splat] * 3)

    splat.keep_bands(torch.zeros(4, 1, dtype=torch.bool))
    average = AVERAGING.taking(splat, average, 100)

    assert average.taken == 1
    assert not average.splat.sh_rest.any()


@pytest.mark.parametrize("averaging", [True, False])
def test_a_run_that_ends_early_delivers_what_it_was_judged_by(survey, averaging):
    # Given a run that a low target ends as soon as it is tested, at full size and after densification
    tuning = {"averaging": averaging, "max_iterations": 120, "target_psnr": 10.0}
    material = prepare(survey, TUNING.model_copy(update=tuning), CPU)
    judged = []

    run = trained(material, lambda run, _: judged.append(run.best_splat.means.detach().clone()))

    assert (run.stopped_by, run.iterations) == ("target_psnr", 100)
    assert torch.equal(run.splat.means, judged[-1])
