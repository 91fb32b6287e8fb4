"""The photometric loss: 3DGS's by default, and what squared errors and outliers do to it."""

from __future__ import annotations

import pytest
import torch

from spaceport.tuning import Tuning
from spaceport_gaussian.losses import EQUAL_PULL_AT, OutlierWeights, PhotometricLoss
from spaceport_gaussian.recipe import recipe_for
from spaceport_render.ssim_loss import ssim_loss

HEIGHT, WIDTH = 60, 80


def noise(scale: float, seed: int = 0) -> torch.Tensor:
    return scale * torch.randn(HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def target() -> torch.Tensor:
    return (0.5 + noise(0.1, seed=1)).clamp(0, 1)


def gradient(
    loss: PhotometricLoss, image: torch.Tensor, target: torch.Tensor, progress: float
) -> torch.Tensor:
    leaf = image.clone().requires_grad_()
    loss(leaf, target, progress).backward()
    return leaf.grad


def test_by_default_it_is_that_of_3dgs(target):
    image = target + noise(0.05)

    expected = 0.8 * (image - target).abs().mean() + 0.2 * ssim_loss(image, target)

    assert torch.equal(PhotometricLoss()(image, target, 1.0), expected)
    assert recipe_for(Tuning(), 1_000).loss == PhotometricLoss(mse_weight=1.0)
    assert recipe_for(Tuning(optimization_enabled=False), 1_000).loss == PhotometricLoss()


@pytest.mark.parametrize(("share", "best"), [(0.0, 0.2), (1.0, 0.3)])
def test_absolute_errors_ask_for_the_median_of_the_photos_and_squared_ones_for_the_mean(share, best):
    # Given a place that is dark in three photos and bright in one
    photos = [torch.full((12, 12, 3), gray) for gray in (0.2, 0.2, 0.2, 0.6)]
    loss = PhotometricLoss(ssim_weight=0.0, mse_weight=share)

    # When each brightness is compared with them
    grays = [step / 100 for step in range(10, 70)]
    losses = [
        sum(float(loss(torch.full_like(photo, gray), photo, 0.0)) for photo in photos) for gray in grays
    ]

    assert grays[losses.index(min(losses))] == best


def test_at_the_usual_residual_both_parts_pull_alike(target):
    image = target + EQUAL_PULL_AT
    absolute, squared = (
        gradient(PhotometricLoss(ssim_weight=0.0, mse_weight=share), image, target, 0.0)
        for share in (0.0, 1.0)
    )

    assert torch.allclose(absolute, squared)


def test_what_moved_hardly_pulls_and_the_rest_does_as_before(target):
    # Given a render that is right but for noise, and a car in the photo
    image = target + noise(0.03)
    with_car = target.clone()
    with_car[20:35, 30:50] = 1.0
    robust = PhotometricLoss(outliers=OutlierWeights())

    # When the robust loss is differentiated early and late
    plain = gradient(PhotometricLoss(), image, with_car, 0.9)
    early = gradient(robust, image, with_car, 0.4)
    late = gradient(robust, image, with_car, 0.9)

    # Then early it is the plain one; late the car pulls next to nothing, and the rest nearly as much
    car, beside = (slice(22, 33), slice(32, 48)), (slice(0, 14), slice(0, 24))
    assert torch.equal(early, plain)
    assert late[car].abs().mean() < 0.05 * plain[car].abs().mean()
    assert late[beside].abs().mean().item() == pytest.approx(plain[beside].abs().mean().item(), rel=0.25)


def test_lone_bad_pixels_keep_their_weight_for_they_are_detail_yet_to_be_learnt():
    residual = noise(0.03)
    residual[10, 10] = 0.4
    residual[30:45, 30:50] = 0.4

    weights = OutlierWeights().of(residual)[..., 0]

    assert weights[10, 10] > 0.6
    assert weights[37, 40] < 0.05
    assert weights.median() > 0.85


def test_a_perfect_render_has_no_outliers():
    assert torch.equal(OutlierWeights().of(torch.zeros(HEIGHT, WIDTH, 3)), torch.ones(HEIGHT, WIDTH, 1))


def test_tuning_reaches_the_loss():
    loss = recipe_for(Tuning(mse_weight=0.3, robust=True), 1_000).loss
    assert loss == PhotometricLoss(mse_weight=0.3, outliers=OutlierWeights())
