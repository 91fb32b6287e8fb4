"""How much the images pull at each Gaussian: what densification goes by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.distributed import ALONE, Team
from spaceport_gaussian.photos import Photo
from spaceport_render.rasterize import Rasterization


@dataclass
class PullStatistics:
    """How much each Gaussian is pulled about in the images, since the last edit.

    A strong pull of its centre means that one Gaussian stands where several are needed (Kerbl et al.
    2023, section 5.2).

    Attributes:
        pull: (N,) sum of the gradients' norms.
        views: (N,) the number of photos that showed the Gaussian.
    """

    pull: Tensor
    views: Tensor

    @classmethod
    def empty(cls, count: int, device: torch.device) -> PullStatistics:
        return cls(torch.zeros(count, device=device), torch.zeros(count, device=device))

    def observe(
        self, rasterization: Rasterization, photo: Photo, team: Team = ALONE, *, absolute: bool
    ) -> None:
        """Add what the backward pass through `rasterization` found.

        The gradient is taken by a shift of half the image, not of a pixel: thus it means the same at
        every size of the photos.

        Args:
            team: whose photos count, each process's its own.
            absolute: take each pixel's share absolutely (AbsGS, Ye et al. 2024).
        """
        gradients = rasterization.mean_gradients()
        across, down = (gradients.absolute if absolute else gradients.signed).unbind(dim=-1)
        pull = torch.hypot(across * (photo.camera.width / 2), down * (photo.camera.height / 2))
        views = (rasterization.radii > 0).float()
        team.add_up([pull, views])
        self.pull += pull
        self.views += views

    def mean(self) -> Tensor:
        """(N,) the mean over the photos that showed the Gaussian; 0 for those never seen."""
        return self.pull / self.views.clamp(min=1.0)
