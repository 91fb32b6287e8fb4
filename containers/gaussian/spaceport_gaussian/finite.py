"""Whether the values of a run are finite, and which of its Gaussians are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spaceport_gaussian.policies.cadence import Cadence

if TYPE_CHECKING:
    from spaceport_gaussian.training import TrainingRun

# A value that is not finite reaches the Gaussians within an iteration or two, whatever it comes from (an
# exposure, a pose, a loss), and stays there. So nothing is kept of each iteration's loss, but the run's state
# is looked at now and then. Once in 30 of 1,500 iterations takes 0.3 % of the time on a CPU.
CHECKS = Cadence(start=0.0, stop=1.0, every=1 / 50, min_every=10)


class NotFinite(Exception):  # noqa: N818 - the state of a run, not a fault of the program
    """A run has come to values that are not finite."""


def require_finite(run: TrainingRun) -> None:
    """Raise NotFinite where any value of `run` is not finite. Waits for the device."""
    if not is_finite(run.state_dict()):
        raise NotFinite


def is_finite(state: object) -> bool:
    """Whether all floating-point tensors in `state` (nested mappings and sequences) hold finite values.

    By their sums, one pass over the memory without a copy: those are finite only if each term is. Where huge
    terms made a sum overflow, each is looked at.
    """
    tensors = [tensor for tensor in _tensors(state) if tensor.is_floating_point()]
    sums = defaultdict(list)
    for tensor in tensors:
        sums[tensor.device].append(tensor.sum())
    if all(bool(torch.isfinite(torch.stack(of_device)).all()) for of_device in sums.values()):
        return True
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


@torch.no_grad()
def finite_gaussians(run: TrainingRun) -> Tensor:
    """(N,) which Gaussians are finite in every parameter and in what the optimiser knows of it."""
    finite = torch.ones(len(run.splat), dtype=torch.bool, device=run.splat.means.device)
    for name, parameter in run.splat.tensors.items():
        kept = (parameter, parameter.grad, *(run.optimiser.moments(name) or ()))
        for tensor in (tensor for tensor in kept if tensor is not None):
            finite &= tensor.flatten(1).isfinite().all(dim=1) if tensor.ndim > 1 else tensor.isfinite()
    return finite


def _tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, Sequence) and not isinstance(state, str | bytes):
        for value in state:
            yield from _tensors(value)
