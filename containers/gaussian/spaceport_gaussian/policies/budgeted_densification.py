"""Densification on a budget: ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from spaceport_gaussian.optimisation import Edit
from spaceport_gaussian.policies.births import draw_by_score, halves, staying
from spaceport_gaussian.policies.budget import EDITS, target_count
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation


@dataclass(frozen=True)
class BudgetedDensification:
    """Grows the count along a straight line to a budget, where the images pull hardest and points support it.

    The budget and the draw by score are from Taming 3DGS (Mallick et al., SIGGRAPH Asia 2024), the
    split along the longest axis from Deng et al. 2025 (Improving Densification in 3D Gaussian
    Splatting), with sizes of our own: the two halves keep the parent's mean, covariance and mass.

    Attributes:
        max_gaussians: the budget, reached at `cadence.stop`.
        cadence: of the edits.
        min_opacity: Gaussians fainter than this are taken away (3DGS). Large ones, which 3DGS takes away too,
            stay: see `SizeLimit`.
    """

    absolute_pull: ClassVar[bool] = True  # a large Gaussian is pulled to all sides
    max_gaussians: int
    cadence: Cadence = EDITS
    min_opacity: float = 0.005

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def edit(self, situation: Situation) -> Edit:
        splat = situation.splat
        living = splat.opacities >= self.min_opacity
        score = situation.supported_pull * living
        room = target_count(self.max_gaussians, self.cadence, situation) - int(living.sum())
        parents = draw_by_score(score, room, situation.generator)
        return Edit(staying(living, parents), halves(splat, parents))
