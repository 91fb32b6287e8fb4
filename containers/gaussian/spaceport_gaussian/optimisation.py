"""Adam over a splat whose Gaussians come and go."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spaceport_gaussian.distributed import Team
from spaceport_gaussian.splat import PARAMETERS, Splat
from spaceport_render import triton_kernels


@dataclass(frozen=True)
class LearningRates:
    """Adam's rates for each kind of parameter, after Kerbl et al. 2023.

    Attributes:
        means: in scene extents an iteration; falls to `means_end` exponentially.
        means_end: the last rate of the means, as a share of the first.
        hold: share of the budget before that fall starts. While photos are still small the means
            must travel (DashGaussian, Chen et al. 2025, holds it until near full resolution).
        quats, log_scales, opacity_logits, sh_dc, sh_rest: constant.
        batch: photos that a step is taken by.
        sh_every: how many steps the others take to one of `sh_rest`, which goes by the sum of the gradients
            in between: those are three quarters of what Adam has to move, and the least urgent (every 16th
            in Taming 3DGS, Mallick et al. 2024). Such a step is that of a larger batch, see below.
    """

    means: float = 1.6e-4
    means_end: float = 0.01
    hold: float = 0.0
    quats: float = 1e-3
    log_scales: float = 5e-3
    opacity_logits: float = 5e-2
    sh_dc: float = 2.5e-3
    sh_rest: float = 2.5e-3 / 20
    batch: int = 1
    sh_every: int = 1

    def for_batches_of(self, batch: int) -> LearningRates:
        """These rates for steps by `batch` photos each: √batch times as high.

        A batch's gradient has 1/√batch of the noise, which Adam divides by (Malladi et al. 2022; right for
        splats, too: Grendel-GS, Zhao et al. 2024).
        """
        rates = {name: getattr(self, name) * batch**0.5 for name in PARAMETERS}
        return replace(self, **rates, batch=batch)

    def means_at(self, progress: float) -> float:
        """The means' rate, in scene extents, when the share `progress` (0..1) of the budget is spent."""
        falling = max(0.0, progress - self.hold) / (1.0 - self.hold)
        return float(self.means * self.means_end**falling)


@dataclass(frozen=True)
class Edit:
    """A change of the set of Gaussians.

    Attributes:
        survivors: (S,) indices of the Gaussians that stay, ascending.
        born: the parameters of B new ones, by the names of PARAMETERS.
    """

    survivors: Tensor
    born: dict[str, Tensor]

    def to(self, device: torch.device) -> Edit:
        return Edit(self.survivors.to(device), {name: born.to(device) for name, born in self.born.items()})


class GaussianOptimiser:
    """Adam with one group for each parameter; moments follow their Gaussians through every `Edit`.

    Args:
        splat: what is optimised; `apply` puts new tensors into it.
        extent: of the scene, metres; scales the rate of the means.
    """

    def __init__(self, splat: Splat, rates: LearningRates, extent: float) -> None:
        self._splat = splat
        self._rates = rates
        self._extent = extent
        self._steps = 0
        # eps as in 3DGS: gradients of a mean loss are tiny, the default of 1e-8 would swallow them.
        groups = [self._group(name) for name in PARAMETERS]
        self._adam = adam_for(splat.means.device)(groups, eps=1e-15, fused=True)

    def _group(self, name: str) -> dict[str, Any]:
        """Of Adam's parameters."""
        cadence = self._rates.sh_every if name == "sh_rest" else 1
        photos = self._rates.batch * cadence
        return {
            "params": [getattr(self._splat, name)],
            # As in `LearningRates.for_batches_of`.
            "lr": getattr(self._rates, name) * cadence**0.5,
            # A moment looks back over as many photos, whatever the batch (Malladi et al. 2022).
            "betas": (max(0.0, 1 - 0.1 * photos), max(0.0, 1 - 0.001 * photos)),
        }

    @property
    def _stepping(self) -> tuple[str, ...]:
        """What the next step changes."""
        is_whole = (self._steps + 1) % self._rates.sh_every == 0
        return PARAMETERS if is_whole else tuple(name for name in PARAMETERS if name != "sh_rest")

    @torch.no_grad()
    def gather(self, team: Team) -> None:
        """Take the mean of the gradients that the photos of all processes made."""
        if team.size > 1:
            gradients = [self._gradient(name) for name in self._stepping]
            team.add_up(gradients)
            torch._foreach_div_(gradients, team.size)

    def _gradient(self, name: str) -> Tensor:
        """A parameter's gradient; zeros where this process's photo made none, for the sum needs them."""
        parameter: Tensor = getattr(self._splat, name)
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        return parameter.grad

    def step(self, progress: float) -> None:
        """Take one step by the gradients of the last backward pass, and clear those that it went by."""
        self._adam.param_groups[0]["lr"] = self._rates.means_at(progress) * self._extent
        gathering = None if "sh_rest" in self._stepping else self._splat.sh_rest.grad
        if gathering is not None:
            self._splat.sh_rest.grad = None  # Adam passes over what has none
        self._adam.step()
        self._splat.clear_bands()
        self._adam.zero_grad(set_to_none=True)
        self._splat.sh_rest.grad = gathering
        self._steps += 1

    @property
    def means_rate(self) -> float:
        """Of the last step, metres."""
        return float(self._adam.param_groups[0]["lr"])

    @torch.no_grad()
    def apply(self, edit: Edit) -> None:
        """Change the set of Gaussians; those that stay keep their moments, new ones start without."""
        for name, group in zip(PARAMETERS, self._adam.param_groups, strict=True):
            old = group["params"][0]
            new = torch.cat([old[edit.survivors], edit.born[name]]).detach().requires_grad_(True)
            state = self._adam.state.pop(old, {})
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment in state:
                    fresh = torch.zeros_like(edit.born[name])
                    state[moment] = torch.cat([state[moment][edit.survivors], fresh])
            if old.grad is not None:
                new.grad = torch.cat([old.grad[edit.survivors], torch.zeros_like(edit.born[name])])
            group["params"] = [new]
            if state:
                self._adam.state[new] = state
            setattr(self._splat, name, new)
        if self._splat.bands is not None:
            old = self._splat.bands
            every = old.new_ones(len(edit.born["means"]), old.shape[1])
            self._splat.bands = torch.cat([old[edit.survivors], every])

    @torch.no_grad()
    def lower_opacities(self, ceiling: float) -> None:
        """Let no opacity be above `ceiling`, and forget where they were going."""
        logits = self._splat.opacity_logits
        logits.clamp_(max=math.log(ceiling / (1 - ceiling)))
        self._adam.state.pop(logits, None)

    def moments(self, name: str) -> tuple[Tensor, Tensor] | None:
        """Adam's first and second moment of a parameter, or None before its first step."""
        state = self._adam.state.get(getattr(self._splat, name))
        return (state["exp_avg"], state["exp_avg_sq"]) if state else None

    def state_dict(self) -> dict[str, Any]:
        return {
            **self._adam.state_dict(),
            "steps": self._steps,
            "sh_rest_gradient": self._splat.sh_rest.grad,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._adam.load_state_dict(state)
        self._steps = state["steps"]
        gradient = state["sh_rest_gradient"]
        self._splat.sh_rest.grad = None if gradient is None else gradient.to(self._splat.sh_rest.device)


def adam_for(device: torch.device) -> type[torch.optim.Adam]:
    """The Adam that takes the least time on `device`."""
    if triton_kernels.usable_on(device):
        from spaceport_gaussian.triton_adam import TritonAdam  # noqa: PLC0415

        return TritonAdam
    return torch.optim.Adam
