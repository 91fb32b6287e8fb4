# ruff: noqa: N803, PLR0917 - a kernel takes its arrays one by one, and its constants in capitals
"""Adam on CUDA, one launch a parameter: torch's own takes several for each, and more of the host's time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl

BLOCK = 1024  # elements a program: four warps with eight elements a thread


class TritonAdam(torch.optim.Adam):
    """`torch.optim.Adam` (Kingma and Ba 2015) without its options; parameters are float32 and contiguous.

    Its state is named as torch's: each goes on from what the other has saved. The count of steps stays on the
    CPU, where it is needed.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        if closure is not None:
            raise ValueError("gradients come from a backward pass, not from a closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state["step"] = state["step"].cpu()

    def _step(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        steps = state["step"].item()
        first, second = group["betas"]
        size = parameter.numel()
        if size:
            _adam[triton.cdiv(size, BLOCK),](
                parameter,
                parameter.grad.contiguous(),
                state["exp_avg"],
                state["exp_avg_sq"],
                group["lr"] / (1 - first**steps),
                (1 - second**steps) ** 0.5,
                first,
                1 - first,
                second,
                1 - second,
                group["eps"],
                size,
                BLOCK,
            )


# Sizes change with every edit: one kernel serves them all. What is left to 1 of a beta comes from Python's
# doubles: of a float32, 1 - 0.999 is off by 1e-5 of itself.
@triton.jit(do_not_specialize=("size",))
def _adam(
    parameter, gradient, mean, square, rate, bias, first, other_first, second, other_second, eps, size,
    BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_inside = at < size
    slope = tl.load(gradient + at, mask=is_inside, other=0.0)
    m = first * tl.load(mean + at, mask=is_inside, other=0.0) + other_first * slope
    v = second * tl.load(square + at, mask=is_inside, other=0.0) + other_second * slope * slope
    tl.store(mean + at, m, mask=is_inside)
    tl.store(square + at, v, mask=is_inside)
    value = tl.load(parameter + at, mask=is_inside, other=0.0)
    tl.store(parameter + at, value - rate * m / (tl.sqrt(v) / bias + eps), mask=is_inside)
