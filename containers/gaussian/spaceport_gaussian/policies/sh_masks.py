"""Spherical harmonics that nobody sees are taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.optimisation import GaussianOptimiser
from spaceport_gaussian.photos import Vantage
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.harmonics import is_in_view
from spaceport_gaussian.policies.policy import Situation
from spaceport_gaussian.splat import Splat, band
from spaceport_render import spherical_harmonics

# As Python's numbers: NumPy's, to the left of a tensor, would make arrays of it.
SH_0, SH_1, SH_2_0, SH_2_2, SH_2_4, SH_3_0, SH_3_1, SH_3_2, SH_3_3, SH_3_5 = (
    float(getattr(spherical_harmonics, name))
    for name in (
        *("SH_0", "SH_1", "SH_2_0", "SH_2_2", "SH_2_4"),
        *("SH_3_0", "SH_3_1", "SH_3_2", "SH_3_3", "SH_3_5"),
    )
)

LATE = Cadence(start=0.8, stop=0.95, every=0.05)


@dataclass(frozen=True)
class BandMasks:
    """Takes away the bands of spherical harmonics that show next to nothing, late in the run.

    Trick-GS (Armagan et al., ICASSP 2025) learns a mask for each band. Here it is told from what a band
    does: its colour varies by less than a threshold over the training views that see the Gaussian. What it
    adds to all of them alike goes over to the constant colour, so training photos keep their looks.

    Attributes:
        cadence: after the last births, and early enough for what stays to settle.
        least: half the range, of 1, over which a band's colour must vary to stay.
    """

    cadence: Cadence = LATE
    least: float = 2 / 255

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def adjust(self, situation: Situation, optimiser: GaussianOptimiser) -> None:
        splat = situation.splat
        if not splat.degrees:
            return
        middle, reach = band_colors(splat, situation.photos)
        keep = (reach >= self.least).any(dim=2)
        splat.sh_dc += torch.where(keep[..., None], 0.0, middle).sum(dim=1, keepdim=True) / SH_0
        splat.keep_bands(keep)


def band_colors(splat: Splat, views: Sequence[Vantage]) -> tuple[Tensor, Tensor]:
    """What each band adds to a Gaussian's colour over the views that see it: middle and half the range.

    Returns:
        Two tensors (N, L, 3), of degrees 1 to L; 0 where no view sees a Gaussian.
    """
    shape = (len(splat), splat.max_sh_degree, 3)
    highest = torch.full(shape, -torch.inf, device=splat.means.device)
    lowest = -highest
    for view in views:
        rotation, shift = view.world_to_camera[:3, :3], view.world_to_camera[:3, 3]
        directions = torch.nn.functional.normalize(splat.means + shift @ rotation, dim=1)
        shares = view_dependent_basis(directions, splat.max_sh_degree)[..., None] * splat.sh_rest
        colors = torch.stack([shares[:, band(degree)].sum(dim=1) for degree in splat.degrees], dim=1)
        unseen = ~is_in_view(splat.means, view)[:, None, None]
        highest = torch.maximum(highest, colors.masked_fill(unseen, -torch.inf))
        lowest = torch.minimum(lowest, colors.masked_fill(unseen, torch.inf))
    is_seen = highest >= lowest
    return (
        torch.where(is_seen, (highest + lowest) / 2, 0.0),
        torch.where(is_seen, (highest - lowest) / 2, 0.0),
    )


def view_dependent_basis(directions: Tensor, degree: int) -> Tensor:
    """(N, (degree + 1)² - 1): the harmonics of degrees 1 to `degree`, 3 at most, in unit directions."""
    x, y, z = directions.unbind(dim=1)
    functions = [
        *(-SH_1 * y, SH_1 * z, -SH_1 * x),
        *(SH_2_0 * x * y, -SH_2_0 * y * z, SH_2_2 * (2 * z * z - x * x - y * y), -SH_2_0 * x * z),
        SH_2_4 * (x * x - y * y),
        *(-SH_3_0 * y * (3 * x * x - y * y), SH_3_1 * x * y * z, -SH_3_2 * y * (4 * z * z - x * x - y * y)),
        SH_3_3 * z * (2 * z * z - 3 * x * x - 3 * y * y),
        *(-SH_3_2 * x * (4 * z * z - x * x - y * y), SH_3_5 * z * (x * x - y * y)),
        -SH_3_0 * x * (x * x - 3 * y * y),
    ]
    return torch.stack(functions[: (degree + 1) ** 2 - 1], dim=1)
