"""Densification of the plain recipe: no budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from spaceport_gaussian.optimisation import Edit, GaussianOptimiser
from spaceport_gaussian.policies.births import alive, draw_by_score, samples, staying
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation

RESET_EVERY = 0.1  # share of the iterations: every 3,000 of 30,000 (3DGS)
EDITS = Cadence(start=1 / 60, stop=0.5, every=1 / 300, min_every=10)
RESETS = Cadence(start=RESET_EVERY, stop=0.499, every=RESET_EVERY, min_every=10)


@dataclass(frozen=True)
class AdaptiveDensityControl:
    """The plain 3DGS recipe (Kerbl et al. 2023, section 5.2): clone the small, split the large.

    The shares are those of 3DGS's 30,000 iterations: every 100 from 500 to 15,000.

    Attributes:
        max_gaussians: a guard of memory, not a target: the count stops growing there.
        min_pull: the mean pull from which on a Gaussian is cloned or split.
        small: share of the scene's extent up to which a Gaussian is cloned rather than split.
        min_opacity: Gaussians fainter than this are taken away.
        max_scale: those larger than this share of the scene's extent too, once opacities have been reset:
            at first the large ones are all there is.
    """

    # What `min_pull` was chosen for: absolute ones pass it ever so often.
    absolute_pull: ClassVar[bool] = False
    max_gaussians: int
    cadence: Cadence = EDITS
    min_pull: float = 2e-4
    small: float = 0.01
    min_opacity: float = 0.005
    max_scale: float = 0.1

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def edit(self, situation: Situation) -> Edit:
        splat = situation.splat
        largest = self.max_scale * situation.extent if situation.progress > RESET_EVERY else float("inf")
        living = alive(splat, min_opacity=self.min_opacity, max_scale=largest)
        score = situation.pull.mean() * living
        score = torch.where(score >= self.min_pull, score, torch.zeros_like(score))
        grown = draw_by_score(score, self.max_gaussians - int(living.sum()), situation.generator)
        is_small = splat.scales[grown].amax(dim=1) <= self.small * situation.extent
        clones = {name: tensor[grown[is_small]] for name, tensor in splat.tensors.items()}
        split = grown[~is_small]
        children = samples(splat, split, situation.generator)
        born = {name: torch.cat([clones[name], children[name]]) for name in clones}
        return Edit(staying(living, split), born)


@dataclass(frozen=True)
class OpacityReset:
    """Lowers all opacities now and then, so that what no photo needs can be told and goes (3DGS).

    Attributes:
        cadence: ends before densification does: what fades later would not be taken away any more.
        ceiling: what opacities are lowered to.
    """

    cadence: Cadence = RESETS
    ceiling: float = 0.01

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    def adjust(self, situation: Situation, optimiser: GaussianOptimiser) -> None:
        optimiser.lower_opacities(self.ceiling)
