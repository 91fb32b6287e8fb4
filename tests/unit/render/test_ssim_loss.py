import numpy as np
import pytest
import torch

from spaceport_render.metrics import ssim
from spaceport_render.ssim_loss import SsimTarget, ssim_by_torch, ssim_loss


def pictures(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(height * width)
    photo = torch.rand(height, width, 3, generator=rng)
    return (photo + 0.2 * torch.randn(height, width, 3, generator=rng)).clamp(0, 1), photo


def exact_target(photo: torch.Tensor) -> SsimTarget:
    """The target's moments in float64, by torch."""
    window = torch.exp(-0.5 * ((torch.arange(11, dtype=torch.float64) - 5) / 1.5) ** 2)
    window /= window.sum()

    def blurred(image: torch.Tensor) -> torch.Tensor:
        planes = image.permute(2, 0, 1)[:, None]
        kernel = torch.outer(window, window)[None, None]
        return torch.nn.functional.conv2d(planes, kernel, padding=5)[:, 0].permute(1, 2, 0)

    return SsimTarget(photo, blurred(photo), blurred(photo * photo))


@pytest.mark.parametrize("size", [(40, 53), (11, 11), (3, 70), (1, 1), (67, 16), (14, 64), (9, 200)])
def test_value_and_gradient_are_those_of_torch_in_float64(size):
    image, photo = pictures(*size)
    ours, exact = image.clone().requires_grad_(), image.double().requires_grad_()

    loss = ssim_loss(ours, SsimTarget.of(photo))
    loss.backward()
    expected = 1 - ssim_by_torch(exact, exact_target(photo.double()))
    expected.backward()

    assert loss.item() == pytest.approx(expected.item(), abs=2e-6)
    assert (ours.grad - exact.grad).norm() / exact.grad.norm() < 1e-4


def test_the_same_images_give_the_same_bits_on_any_number_of_threads(monkeypatch):
    image, photo = pictures(50, 90)
    runs = []
    for cores in (1, 2, 5):
        monkeypatch.setattr("spaceport_render.threads.available_cores", lambda cores=cores: cores)
        ours = image.clone().requires_grad_()
        loss = ssim_loss(ours, photo)
        loss.backward()
        runs.append((loss.detach(), ours.grad))
    for loss, gradient in runs[1:]:
        assert torch.equal(loss, runs[0][0])
        assert torch.equal(gradient, runs[0][1])


def test_a_bare_photo_gives_the_same_as_its_kept_target():
    image, photo = pictures(30, 20)
    assert ssim_loss(image, photo) == ssim_loss(image, SsimTarget.of(photo))


def test_inside_the_border_it_is_the_metric():
    image, photo = pictures(200, 300)
    assert 1 - ssim_loss(image, photo).item() == pytest.approx(ssim(image.numpy(), photo.numpy()), abs=5e-3)
    assert ssim_loss(photo, photo).item() == pytest.approx(0, abs=1e-6)


def test_flat_and_out_of_range_images_have_finite_gradients():
    for value in (0.0, 1.0, 7.0):
        image = torch.full((25, 25, 3), value).requires_grad_()
        ssim_loss(image, torch.zeros(25, 25, 3)).backward()
        assert image.grad.isfinite().all()


def test_following_the_gradient_restores_the_photo():
    image, photo = pictures(24, 24)
    guess = image.clone().requires_grad_()
    optimiser = torch.optim.Adam([guess], lr=0.02)
    target = SsimTarget.of(photo)
    before = ssim_loss(guess, target).item()
    for _ in range(150):
        optimiser.zero_grad()
        ssim_loss(guess, target).backward()
        optimiser.step()
    assert ssim_loss(guess, target).item() < 0.1 * before
    assert np.abs(guess.detach().numpy() - photo.numpy()).mean() < 0.1


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        ssim_loss(torch.zeros(10, 10, 3), torch.zeros(10, 11, 3))
