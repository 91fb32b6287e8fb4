"""Triton's kernels compute what torch and the CPU's kernels do.

They also run without a GPU, slowly, where Triton is installed:
TRITON_INTERPRET=1 python -m pytest tests/gpu/test_triton_kernels.py
"""

from __future__ import annotations

import importlib
import importlib.util
import os

import pytest
import torch

from spaceport_gaussian.losses import PhotometricLoss
from spaceport_gaussian.splat import PARAMETERS
from spaceport_render.ssim_loss import SsimTarget, ssim_by_torch, ssim_loss

pytestmark = pytest.mark.gpu

IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if importlib.util.find_spec("triton") is None:
    pytest.skip("gpu: Triton is not installed", allow_module_level=True)
if not (torch.cuda.is_available() or IS_INTERPRETED):
    pytest.skip("gpu: torch sees no CUDA device", allow_module_level=True)

TritonAdam = importlib.import_module("spaceport_gaussian.triton_adam").TritonAdam
opacity_and_size = importlib.import_module(
    "spaceport_gaussian.policies.triton_regularisation"
).opacity_and_size
photometric = importlib.import_module("spaceport_render.triton_photometric")
Weights, photometric_loss = photometric.Weights, photometric.photometric_loss

DEVICE = torch.device("cpu" if IS_INTERPRETED else "cuda")


def picture(height: int, width: int, seed: int) -> torch.Tensor:
    noise = torch.randn(height, width, 3, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.1 * noise).to(DEVICE)


def relative_error(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found.double() - right.double()).norm() / right.double().norm())


def by_torch(image: torch.Tensor, photo: torch.Tensor, weights: tuple[float, float, float]) -> torch.Tensor:
    """The same loss, in float64."""
    absolute, squared, structure = weights
    photo = photo.double()
    difference = image - photo
    return (
        absolute * difference.abs().mean()
        + squared * difference.square().mean()
        + structure * (1 - ssim_by_torch(image, SsimTarget.of(photo)))
    )


@pytest.mark.parametrize("size", [(1, 1), (11, 17), (37, 53), (64, 96)])
@pytest.mark.parametrize("weights", [Weights(0.8, 0.0, 0.2), Weights(0.3, 2.0, 0.5), Weights(0.0, 0.0, 1.0)])
def test_the_photometric_loss_and_its_gradient(size, weights):
    photo, image = picture(*size, seed=0), picture(*size, seed=1).requires_grad_()
    exact = image.detach().double().cpu().requires_grad_()

    loss = photometric_loss(image, photo, weights)
    (3 * loss).backward()
    right = by_torch(exact, photo.cpu(), weights)
    (3 * right).backward()

    assert loss.item() == pytest.approx(right.item(), abs=1e-6)
    assert relative_error(image.grad.cpu(), exact.grad) < 1e-5


def test_equal_pictures_have_no_loss():
    image = picture(20, 30, seed=0).requires_grad_()
    loss = photometric_loss(image, image.detach().clone(), Weights(0.8, 0.5, 0.2))
    loss.backward()

    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert image.grad.abs().max() < 1e-6


def test_pictures_that_differ_in_size_or_type_are_refused():
    with pytest.raises(ValueError, match="alike"):
        photometric_loss(picture(20, 30, 0), picture(30, 20, 0), Weights(1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="float32"):
        photometric_loss(picture(20, 30, 0), picture(20, 30, 0).double(), Weights(1.0, 0.0, 0.0))


@pytest.mark.skipif(IS_INTERPRETED, reason="needs CUDA: the CPU has kernels of its own")
@pytest.mark.parametrize("mse_weight", [0.0, 0.5])
def test_training_has_the_loss_of_the_cpu_on_both_devices(mse_weight):
    loss = PhotometricLoss(mse_weight=mse_weight)
    found = {}
    for device in ("cpu", "cuda"):
        image = picture(120, 90, seed=0).to(device).requires_grad_()
        value = loss(image, picture(120, 90, seed=1).to(device), 0.5)
        value.backward()
        found[device] = value.item(), image.grad.cpu()

    assert found["cuda"][0] == pytest.approx(found["cpu"][0], abs=1e-6)
    assert relative_error(found["cuda"][1], found["cpu"][1]) < 1e-4


@pytest.mark.skipif(IS_INTERPRETED, reason="needs CUDA: the CPU has kernels of its own")
def test_ssim_of_a_bare_photo_is_that_of_a_prepared_one():
    image, photo = picture(50, 70, seed=0), picture(50, 70, seed=1)
    assert ssim_loss(image, photo).item() == pytest.approx(
        ssim_loss(image, SsimTarget.of(photo)).item(), abs=1e-5
    )


@pytest.mark.parametrize("count", [0, 1, 37, 1025])
def test_what_opacity_and_size_cost(count):
    draw = torch.Generator().manual_seed(0)
    logits, log_scales = torch.randn(count, generator=draw), torch.randn(count, 3, generator=draw)
    is_seen = torch.rand(count, generator=draw) < 0.6
    ours = [tensor.to(DEVICE, copy=True).requires_grad_() for tensor in (logits, log_scales)]
    exact = [tensor.double().requires_grad_() for tensor in (logits, log_scales)]

    cost = opacity_and_size(*ours, is_seen.to(DEVICE), opacity=0.3, scale=0.05)
    (2 * cost).backward()
    each = 0.3 * exact[0].sigmoid() + 0.05 * exact[1].exp().mean(dim=1)
    right = (each * is_seen).sum() / max(1, count)
    (2 * right).backward()

    assert cost.item() == pytest.approx(right.item(), rel=1e-5)
    for found, wanted in zip(ours, exact, strict=True):
        torch.testing.assert_close(found.grad.cpu().double(), wanted.grad, rtol=1e-5, atol=1e-9)


def parameters(count: int) -> list[torch.Tensor]:
    shapes = {"means": (3,), "quats": (4,), "log_scales": (3,), "opacity_logits": ()}
    shapes |= {"sh_dc": (1, 3), "sh_rest": (15, 3)}
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randn(count, *shapes[name], generator=draw).to(DEVICE).requires_grad_() for name in PARAMETERS
    ]


def optimised(kind: type[torch.optim.Adam], values: list[torch.Tensor]) -> torch.optim.Adam:
    groups = [
        {"params": [value], "lr": 10.0**-power, "betas": (0.9 / power, 0.999)}
        for power, value in enumerate(values, start=1)
    ]
    return kind(groups, eps=1e-15, fused=True)


def take_steps(optimisers: list[torch.optim.Adam], count: int, seed: int) -> None:
    """Give all the same gradients, small as those of a mean, and at times none for the last parameter."""
    draw = torch.Generator().manual_seed(seed)
    for step in range(count):
        groups = [[group["params"][0] for group in optimiser.param_groups] for optimiser in optimisers]
        for alike in zip(*groups, strict=True):
            gradient = 1e-6 * torch.randn(alike[0].shape, generator=draw).to(DEVICE)
            for value in alike:
                value.grad = gradient.clone()
        if step % 2:
            for values in groups:
                values[-1].grad = None
        for optimiser in optimisers:
            optimiser.step()


def assert_equal(found: list[torch.Tensor], right: list[torch.Tensor]) -> None:
    for one, other in zip(found, right, strict=True):
        # Steps are of up to 0.1: a ten-thousandth of one.
        torch.testing.assert_close(one.detach(), other.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 37, 1025])
def test_adam_takes_torchs_steps(count):
    ours, theirs = parameters(count), parameters(count)
    take_steps([optimised(TritonAdam, ours), optimised(torch.optim.Adam, theirs)], 12, seed=1)

    assert_equal(ours, theirs)


def test_either_adam_goes_on_from_the_others_state():
    ours, theirs = parameters(20), parameters(20)
    first, second = optimised(TritonAdam, ours), optimised(torch.optim.Adam, theirs)
    take_steps([first, second], 5, seed=1)

    swapped = optimised(torch.optim.Adam, ours), optimised(TritonAdam, theirs)
    swapped[0].load_state_dict(first.state_dict())
    swapped[1].load_state_dict(second.state_dict())
    take_steps(list(swapped), 5, seed=2)

    assert_equal(ours, theirs)
