"""Adam's steps, and those of the view-dependent colours, which may come less often."""

from __future__ import annotations

import pytest
import torch

from spaceport_gaussian.distributed import Alone
from spaceport_gaussian.optimisation import Edit, GaussianOptimiser, LearningRates
from spaceport_gaussian.splat import PARAMETERS, Splat

EVERY = 4


def splat_of(count: int) -> Splat:
    shapes = {"means": (3,), "quats": (4,), "log_scales": (3,), "opacity_logits": ()}
    shapes |= {"sh_dc": (1, 3), "sh_rest": (15, 3)}
    draw = torch.Generator().manual_seed(0)
    return Splat.of({name: torch.randn(count, *shapes[name], generator=draw) for name in PARAMETERS})


def learn(optimiser: GaussianOptimiser, splat: Splat, gradients: torch.Tensor) -> None:
    """One step where each value's gradient is that of its Gaussian, (N,)."""
    values = [(tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None]).sum(1) for tensor in parts(splat)]
    (sum(values) * gradients).sum().backward()
    optimiser.step(0.0)


def parts(splat: Splat) -> list[torch.Tensor]:
    return list(splat.tensors.values())


def test_view_dependent_colours_are_changed_by_every_nth_step_alone():
    splat = splat_of(5)
    optimiser = GaussianOptimiser(splat, LearningRates(sh_every=EVERY), extent=1.0)
    changed = []
    for _ in range(2 * EVERY):
        before = [tensor.detach().clone() for tensor in parts(splat)]
        learn(optimiser, splat, torch.ones(5))
        changed.append([not torch.equal(new, old) for new, old in zip(parts(splat), before, strict=True)])

    assert all(all(others) for *others, _ in changed)
    assert [rest for *_, rest in changed] == [False, False, False, True] * 2


def test_such_a_step_goes_by_all_gradients_since_the_last_as_by_one_large_batch():
    # Given gradients that come now from this side, now from that
    gradients = torch.randn(3 * EVERY, 7, generator=torch.Generator().manual_seed(1))
    splat, batched = splat_of(7), splat_of(7)
    rates = LearningRates(sh_every=EVERY)
    optimiser = GaussianOptimiser(splat, rates, extent=1.0)
    large = GaussianOptimiser(batched, LearningRates().for_batches_of(EVERY), extent=1.0)

    # When one takes them one by one, the other four together
    for gradient in gradients:
        learn(optimiser, splat, gradient)
    for together in gradients.reshape(3, EVERY, 7).sum(1):
        learn(large, batched, together)

    # Then the view-dependent colours come to the same
    torch.testing.assert_close(splat.sh_rest, batched.sh_rest)
    assert not torch.allclose(splat.sh_dc, batched.sh_dc)


def test_gradients_that_wait_follow_their_gaussians_through_an_edit():
    splat = splat_of(6)
    optimiser = GaussianOptimiser(splat, LearningRates(sh_every=2), extent=1.0)
    learn(optimiser, splat, torch.arange(6.0))
    born = {name: tensor.detach()[:2] for name, tensor in splat.tensors.items()}

    optimiser.apply(Edit(torch.tensor([1, 3, 4]), born))

    assert splat.sh_rest.grad[:, 0, 0].tolist() == [1, 3, 4, 0, 0]
    assert all(tensor.grad is None for tensor in parts(splat)[:-1])


class Trebling(Alone):
    """Stands in for a process whose photos say the same as another's, twice as loud."""

    def add_up(self, tensors: list[torch.Tensor]) -> None:
        torch._foreach_mul_(tensors, 3)


@pytest.mark.parametrize("every", [1, 3])
def test_processes_exchange_each_gradient_once(every):
    splat = splat_of(4)
    optimiser = GaussianOptimiser(splat, LearningRates(sh_every=every), extent=1.0)
    seen = []
    for _ in range(every):
        splat.sh_rest.sum().backward()
        optimiser.gather(Trebling(size=2))
        seen.append(float(splat.sh_rest.grad.mean()))
        optimiser.step(0.0)

    assert splat.sh_rest.grad is None
    # What waits is as it was; at the end it becomes the mean of 1 and 2 times itself.
    assert seen == [*range(1, every), 1.5 * every]
