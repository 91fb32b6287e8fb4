"""Photos of different exposure: each is learnt with its own map, and what is common stays in the splat."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from spaceport.tuning import Tuning
from spaceport_gaussian.evaluation.likeness import mean_psnr
from spaceport_gaussian.material import Material, prepare
from spaceport_gaussian.policies.exposure import ExposureCompensation
from spaceport_gaussian.policies.photo_corrections import PhotoCorrections
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training import TrainingRun, train
from spaceport_render.gaussians import Gaussians
from spaceport_render.scene import Scene

CPU = torch.device("cpu")
TUNING = Tuning(
    dropout=0.0,  # else renders of a set of nine photos that hardly overlap are a little too bright
    max_iterations=210,
    train_max_size=96,
    max_gaussians=900,
    sh_degree=1,
    holdout=4,
    seed=5,
    exposure=True,
)
HELD = {2, 6}  # of the survey's nine photos, by that holdout
GAINS = np.array([0.8, 1.2, 1.0, 0.9, 1.1, 0.85, 1.0, 1.15, 1.0])  # 1 on average over the others


def exposed(survey: Scene, gains) -> Scene:
    """The survey with its training photos as taken with these gains; held-out ones stay."""
    return dataclasses.replace(
        survey,
        views=tuple(
            view
            if index in HELD
            else dataclasses.replace(view, pixels=np.uint8(np.clip(view.pixels * gains[index] + 0.5, 0, 255)))
            for index, view in enumerate(survey.views)
        ),
    )


def trained(material: Material, ground: Gaussians) -> TrainingRun:
    """A run that starts with the true splat, so that only what exposures do to it is seen."""
    recipe = dataclasses.replace(material.recipe, densification=None, adjustments=())
    splat = Splat.of_gaussians(ground, CPU)
    run = TrainingRun.start(splat, recipe, photos=len(material.photos), extent=material.extent, seed=0)
    train(run, material.photos, recipe, watcher=lambda *_: None)
    return run


def maps_of(run: TrainingRun) -> torch.Tensor:
    (values,) = run.corrections.state_dict()["values"]
    return values


def test_photos_of_different_exposure_no_longer_harm_what_is_held_out(survey, ground):
    # Given photos of gains whose mean is 1, and a run with and one without compensation
    materials = {
        exposure: prepare(exposed(survey, GAINS), TUNING.model_copy(update={"exposure": exposure}), CPU)
        for exposure in (True, False)
    }

    runs = {exposure: trained(material, ground) for exposure, material in materials.items()}

    # Then held-out photos are drawn far better with it, and each training photo's gain has been found
    quality = {on: mean_psnr(run.splat, materials[on].held.at(1.0)) for on, run in runs.items()}
    assert quality[True] > quality[False] + 3
    gains = [gain for index, gain in enumerate(GAINS) if index not in HELD]
    greys = (maps_of(runs[True]) @ torch.tensor([0.5, 0.5, 0.5, 1.0])).mean(dim=1) / 0.5
    assert greys.numpy() == pytest.approx(np.array(gains), abs=0.05)


def test_what_all_photos_have_in_common_stays_in_the_splat(survey, ground):
    # Given photos that are all too dark
    material = prepare(exposed(survey, np.full(9, 0.7)), TUNING, CPU)

    run = trained(material, ground)

    # Then the mean of their maps is the identity, and the splat alone is as dark as they are
    torch.testing.assert_close(maps_of(run).mean(dim=0), torch.eye(3, 4), atol=1e-5, rtol=0)
    with torch.no_grad():
        photos = material.photos.at(1.0)
        render = torch.stack([run.splat.render(photo).image.mean() for photo in photos]).mean()
    target = torch.stack([photo.target.mean() for photo in photos]).mean()
    assert render.item() == pytest.approx(target.item(), rel=0.03)


def test_only_the_photo_that_was_seen_learns_and_the_others_make_up_for_it():
    corrections = PhotoCorrections([ExposureCompensation()], photos=4, batch=1, extent=1.0, device=CPU)
    image = torch.full((2, 3, 3), 0.5)
    assert torch.equal(corrections.developed(image, 1), image)

    # When the second photo asks for more light
    (-corrections.developed(image, 1).mean()).backward()
    corrections.step(0.0)

    # Then it is drawn brighter, the others a third of that darker, so that all together are as before
    brighter = corrections.developed(image, 1) - image
    darker = corrections.developed(image, 3) - image
    assert brighter.min() > 0.01
    torch.testing.assert_close(darker, -brighter / 3, rtol=1e-3, atol=1e-6)


def test_the_map_is_affine_in_the_colour():
    # Given a map to red = green / 2 + 0.1, green and blue as they are
    values = torch.tensor([[0.0, 0.5, 0.0, 0.1], [0, 1, 0, 0], [0, 0, 1, 0]])

    developed = ExposureCompensation().developed(torch.tensor([[[0.9, 0.4, 0.2]]]), values)

    torch.testing.assert_close(developed, torch.tensor([[[0.3, 0.4, 0.2]]]))


def test_the_rate_falls_to_a_tenth():
    policy = ExposureCompensation()
    assert [policy.rate_at(progress) for progress in (0, 0.5, 1)] == pytest.approx([0.01, 10**-2.5, 0.001])
