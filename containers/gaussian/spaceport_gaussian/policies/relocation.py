"""3D Gaussian Splatting as Markov Chain Monte Carlo: the dead start anew, and all are jolted a little."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spaceport_gaussian.optimisation import Edit, GaussianOptimiser
from spaceport_gaussian.policies.births import rotation_matrices, staying
from spaceport_gaussian.policies.budget import EDITS, target_count
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation

MAX_SHARERS = 51  # Gaussians that take one's place together: from here on the sum is that of 51 (the paper)


@dataclass(frozen=True)
class Relocation:
    """Puts Gaussians that have faded onto living ones, and as many more as the budget has room for.

    3DGS as MCMC (Kheradmand et al., NeurIPS 2024, section 3.3): where they land is drawn by opacity, and all
    that share a place then get the opacity and size with which they look as the one did, so an edit leaves
    the renders as they were. The paper adds 5 % at a time up to its budget; here the count follows our line.
    Complete only together with `PositionNoise`, which parts those that share a place, and with costs of
    opacity and size (`Regularisation`).

    Attributes:
        max_gaussians: the budget, reached at `cadence.stop`.
        cadence: of the edits.
        min_opacity: fainter ones are dead (the paper).
    """

    absolute_pull: ClassVar[bool] = True  # it goes by opacity, and looks at no pull
    max_gaussians: int
    cadence: Cadence = EDITS
    min_opacity: float = 0.005

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def edit(self, situation: Situation) -> Edit:
        splat = situation.splat
        living = splat.opacities >= self.min_opacity
        room = target_count(self.max_gaussians, self.cadence, situation) - int(living.sum())
        joining = draw_with_return(splat.opacities * living, room, situation.generator)
        chosen = joining.nonzero().squeeze(1)
        sharers = joining[chosen] + 1
        opacities, scales = shared(splat.opacities[chosen], splat.scales[chosen], sharers)
        alike = {name: tensor[chosen] for name, tensor in splat.tensors.items()}
        # Not below what dies: else those that have just come would be the next to go.
        alike["opacity_logits"] = torch.logit(opacities.clamp(self.min_opacity, 1 - 1e-6))
        alike["log_scales"] = scales.log()
        born = {name: tensor.repeat_interleave(sharers, dim=0) for name, tensor in alike.items()}
        return Edit(staying(living, chosen), born)


def draw_with_return(odds: Tensor, times: int, generator: torch.Generator) -> Tensor:
    """(N,) how often each is drawn in `times` draws with the given odds (N,); never where they are all 0."""
    sums = odds.double().cumsum(0)
    if times <= 0 or not len(sums) or not sums[-1] > 0:
        return torch.zeros(len(odds), dtype=torch.long, device=odds.device)
    # Not torch.multinomial: it refuses more than 2²⁴ candidates. 1 - u is never 0, which would hit odds of 0.
    thrown = 1.0 - torch.rand(times, generator=generator, dtype=torch.float64).to(odds.device)
    hit = torch.searchsorted(sums, thrown * sums[-1]).clamp(max=len(odds) - 1)
    return torch.bincount(hit, minlength=len(odds))


def shared(opacities: Tensor, scales: Tensor, sharers: Tensor) -> tuple[Tensor, Tensor]:
    """What each of several Gaussians at one place must have for them to look as one does.

    Kheradmand et al. (section 3.3): o' = 1 - (1 - o)^(1/n), and a scale by which the densities along a ray
    through the centre add up to the same. Its double sum is one sum here: Σᵢ₌ₖ₊₁..ₙ C(i-1, k) = C(n, k+1).

    Args:
        opacities: (C,) 0..1; scales: (C, 3); sharers: (C,) how many there are to be in each one's place.

    Returns:
        (C,) opacities and (C, 3) scales.
    """
    binomials = torch.tensor(
        [[math.comb(n, k) for k in range(1, MAX_SHARERS + 1)] for n in range(MAX_SHARERS + 1)],
        dtype=torch.float64,  # its numbers are up to 2·10¹⁴ of changing sign: float32 would lose the sum
        device=opacities.device,
    )
    k = torch.arange(1, MAX_SHARERS + 1, dtype=torch.float64, device=opacities.device)
    n = sharers.clamp(max=MAX_SHARERS)
    whole = opacities.double()
    each = -torch.expm1(torch.log1p(-whole.clamp(max=1 - 1e-7)) / n)
    terms = binomials[n] * (-1.0) ** (k - 1) * each[:, None] ** k / k.sqrt()
    return each.to(opacities), scales * (whole / terms.sum(dim=1)).to(scales)[:, None]


@dataclass(frozen=True)
class PositionNoise:
    """Jolts the faint Gaussians in each iteration: they look about until they find where they are needed.

    Stochastic gradient Langevin dynamics of 3DGS as MCMC (Kheradmand et al. 2024): noise in the
    shape of the Gaussian itself, times the means' learning rate, for opacities near 0 only. The paper's is
    for scenes about 1 large; lengths here are taken in extents of the scene, so that it means the same in
    metres.

    Attributes:
        strength: 5·10⁵ in the paper.
        steepness, faint: noise falls from all to nothing, as fast as this, around this opacity (the paper).
    """

    strength: float
    steepness: float = 100.0
    faint: float = 0.005

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return True

    @torch.no_grad()
    def adjust(self, situation: Situation, optimiser: GaussianOptimiser) -> None:
        splat = situation.splat
        device = splat.means.device
        # The seed is drawn on the CPU, so that a run goes on as it would have; the many numbers where they
        # are needed, so that no iteration waits for them.
        seed = int(torch.randint(2**31, (), generator=situation.generator))
        generator = torch.Generator(device).manual_seed(seed)
        noise = torch.randn(splat.means.shape, generator=generator, device=device)
        axes = rotation_matrices(splat.quats)
        along = (axes.transpose(1, 2) @ noise[..., None]) * splat.scales[..., None] ** 2
        shaped = (axes @ along).squeeze(-1)  # the covariance times the noise
        faintness = torch.sigmoid(self.steepness * (self.faint - splat.opacities))
        rate = self.strength * optimiser.means_rate / situation.extent**2
        splat.means.add_(shaped * faintness[:, None], alpha=rate)
