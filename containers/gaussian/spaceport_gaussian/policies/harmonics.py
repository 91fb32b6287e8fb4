"""Which spherical harmonics are in use: by iteration, and by how many photos see a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.optimisation import GaussianOptimiser
from spaceport_gaussian.photos import Vantage
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation

WITH_BIRTHS = Cadence(start=0.0, stop=1.0, every=1 / 30, min_every=10)


@dataclass(frozen=True)
class HarmonicsRamp:
    """View-dependent colour comes in one SH degree at a time, once the shapes stand (Kerbl et al. 2023).

    Attributes:
        max_degree: 0..3.
        every: share of the budget between two degrees; 1/30 in 3DGS (1,000 of 30,000 iterations).
    """

    max_degree: int
    every: float

    def degree_at(self, progress: float) -> int:
        """The SH degree in use when the share `progress` (0..1) of the budget is spent."""
        return min(self.max_degree, int(progress / self.every))


@dataclass(frozen=True)
class DegreeByViews:
    """No more spherical harmonics than there are photos to tell them from each other.

    The bands up to degree l have (l + 1)² coefficients a channel. Fewer views of a Gaussian than that leave
    the rest to chance: each photo's colours can be fitted by themselves, and views between them show what no
    photo said. So a Gaussian in four photos gets degree 1, in nine degree 2, in sixteen degree 3. The rule is
    ours, from counting unknowns; as the views of a nadir grid are much alike, it still is generous.

    Attributes:
        cadence: as often as Gaussians are born.
    """

    cadence: Cadence = WITH_BIRTHS

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def adjust(self, situation: Situation, optimiser: GaussianOptimiser) -> None:
        splat = situation.splat
        views = torch.zeros(len(splat), device=splat.means.device)
        for photo in situation.photos:
            views += is_in_view(splat.means, photo)
        coefficients = torch.tensor([(degree + 1) ** 2 for degree in splat.degrees], device=views.device)
        splat.keep_bands(views[:, None] >= coefficients)


def is_in_view(points: Tensor, at: Vantage) -> Tensor:
    """(N,) which of `points` (N, 3) lie in front of the camera and within its picture; bool."""
    in_camera = points @ at.world_to_camera[:3, :3].T + at.world_to_camera[:3, 3]
    depth = in_camera[:, 2]
    x, y, _ = (in_camera @ at.intrinsics.T / depth[:, None]).unbind(dim=1)
    return (depth > 0) & (x >= 0) & (x < at.camera.width) & (y >= 0) & (y < at.camera.height)
