"""Which spherical harmonics a Gaussian may have: by the photos that see it, and by what they show."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from spaceport.stop_signal import StopSignal
from spaceport.tuning import Tuning
from spaceport_gaussian.job import Folders, run_job, start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.optimisation import Edit
from spaceport_gaussian.policies.harmonics import DegreeByViews
from spaceport_gaussian.policies.sh_masks import BandMasks, band_colors
from spaceport_gaussian.recipe import recipe_for
from spaceport_gaussian.splat import band
from spaceport_gaussian.training import TrainingRun, situation, train
from spaceport_gaussian.training_log import LOG

CPU = torch.device("cpu")
TUNING = Tuning(max_iterations=60, train_max_size=96, max_gaussians=900, sh_degree=3, holdout=0)


def ignore(*_: object, **__: object) -> None:
    pass


@pytest.fixture
def material(survey):
    return prepare(survey, TUNING, CPU)


@pytest.fixture
def run(material) -> TrainingRun:
    """A run that has yet to start, with view-dependent colours."""
    run = start(material)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        run.splat.sh_rest.copy_(0.1 * torch.randn(run.splat.sh_rest.shape, generator=generator))
    return run


def act(policy, run, material) -> None:
    policy.adjust(situation(run, material.recipe, material.photos.at(1.0), sh_degree=3), run.optimiser)


def views_of(material, means: torch.Tensor) -> np.ndarray:
    """(N,) how many photos show each of `means`, by the cameras' own word."""
    return np.sum([view.camera.sees(means.detach().numpy()) for view in material.training_views], axis=0)


def test_a_gaussian_has_no_more_coefficients_than_views(run, material):
    act(DegreeByViews(), run, material)

    views = views_of(material, run.splat.means)
    assert views.min() < 4 <= views.max() == 9
    for degree in (1, 2, 3):
        is_used = (run.splat.sh_rest[:, band(degree)] != 0).any(dim=(1, 2)).numpy()
        assert np.array_equal(is_used, views >= (degree + 1) ** 2), degree


def test_what_is_taken_away_stays_away_through_steps_births_and_checkpoints(run, material):
    # Given a run in which some bands are taken away
    act(DegreeByViews(), run, material)
    off = ~run.splat.bands
    parents = torch.arange(5)
    born = {name: tensor[parents].detach() for name, tensor in run.splat.tensors.items()}

    # When Gaussians die and are born, a checkpoint is taken, and all bands are pulled at
    run.apply(Edit(torch.arange(10, len(run.splat)), born))
    run = TrainingRun.restore(run.state_dict(), material.recipe, extent=material.extent, device=CPU)
    run.splat.sh_rest.grad = torch.ones_like(run.splat.sh_rest)
    run.optimiser.step(0.5)

    # Then those of the survivors are still 0, and the new ones' are for the policy to judge
    assert torch.equal(run.splat.bands[:-5], ~off[10:])
    assert run.splat.bands[-5:].all()
    for degree in (1, 2, 3):
        is_zero = (run.splat.sh_rest[:, band(degree)] == 0).all(dim=(1, 2))
        assert torch.equal(is_zero, ~run.splat.bands[:, degree - 1])


def test_a_whole_run_ends_with_no_more_coefficients_than_views(survey):
    material = prepare(survey, TUNING.model_copy(update={"sh_by_views": True}), CPU)
    run = start(material)

    train(run, material.photos, material.recipe, watcher=ignore)

    # 16 coefficients need more views than there are photos, and the ramp has long reached degree 2.
    assert (run.splat.sh_rest[:, band(3)] == 0).all()
    assert (run.splat.sh_rest[:, band(2)] != 0).any()


def test_bands_that_hardly_show_go_and_the_photos_stay_as_they_are(run, material):
    # Given bands of which every second Gaussian's vary by next to nothing, around a colour that is not 0
    with torch.no_grad():
        run.splat.sh_rest[::2] *= 0.01
        run.splat.sh_rest[::2, band(1)][:, 1] = 0.4  # along the axis down which all look
    photos = material.photos.at(1.0)
    before = [run.splat.render(photo).image.detach() for photo in photos]
    _, reach = band_colors(run.splat, photos)

    # When the masks are told
    policy = BandMasks(least=8 / 255)
    act(policy, run, material)

    # Then exactly what varied by less than the threshold is gone, though not small, and photos show the same
    gone = ~run.splat.bands
    assert torch.equal(gone, (reach < policy.least).all(dim=2))
    assert gone[::2].all()
    assert gone[1::2].float().mean() < 0.9
    assert all((run.splat.sh_rest[gone[:, 0], band(1)] == 0).flatten())
    for photo, old in zip(photos, before, strict=True):
        assert (run.splat.render(photo).image - old).abs().max() < 3 * policy.least


def test_the_colours_of_bands_are_those_that_are_drawn(run, material):
    # Given a single Gaussian in the middle of what one photo shows, opaque and large, grey but for degree 2
    photo = material.photos.at(1.0)[4]
    x, y, _ = photo.camera.position
    with torch.no_grad():
        run.splat.means[0] = torch.tensor([x + 3.0, y + 2.0, 0.0])
        run.splat.sh_dc[0] = 0
        run.splat.sh_rest[0, band(1)] = 0
        run.splat.sh_rest[0, band(3)] = 0
    run.apply(
        Edit(torch.tensor([0]), {name: tensor[:0].detach() for name, tensor in run.splat.tensors.items()})
    )

    middle, reach = band_colors(run.splat, [photo])
    drawn = run.splat.render(photo)

    # Then the colour found is the drawn one
    alpha = drawn.alpha.max()
    row, column = divmod(int(drawn.alpha.argmax()), photo.camera.width)
    assert torch.allclose(drawn.image[row, column] / alpha, 0.5 + middle[0, 1], atol=1e-4)
    assert torch.equal(reach, torch.zeros(1, 3, 3))
    assert (middle[0, [0, 2]] == 0).all()


def test_masks_are_told_late_and_counted_in_the_log(dense_folder, tmp_path):
    tuning = TUNING.model_copy(update={"sh_masks": True})
    folders = Folders(dense_folder, tmp_path / "model", tmp_path / "checkpoints")

    run_job(folders, tuning, ignore, device=CPU, stop=StopSignal())

    lines = [json.loads(line) for line in (folders.model / LOG).read_text().splitlines()]
    off = {line["iteration"]: line["sh_bands_off"] for line in lines if "sh_bands_off" in line}
    assert min(off) == 48
    assert all(count > 0 for count in off.values())


def test_a_splat_of_constant_colours_has_no_bands_to_judge(survey):
    material = prepare(survey, TUNING.model_copy(update={"sh_degree": 0}), CPU)
    run = start(material)

    act(DegreeByViews(), run, material)
    act(BandMasks(), run, material)

    assert run.splat.sh_rest.shape[1] == 0


def test_both_are_off_unless_asked_for():
    off = recipe_for(Tuning(limit_size=False), 1_000)
    on = recipe_for(Tuning(limit_size=False, sh_by_views=True, sh_masks=True), 1_000)
    assert off.adjustments == ()
    assert on.adjustments == (DegreeByViews(), BandMasks())
    assert dataclasses.replace(on, adjustments=()) == off
