"""Photos of one place that differ in exposure and white balance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat


@dataclass(frozen=True)
class ExposureCompensation:
    """An affine map of the colours for each training photo (Kerbl et al. 2024, A Hierarchical 3D Gaussian
    Representation, section 6).

    A camera on automatic shows one roof at many brightnesses. Without this the splat paints the differences
    as view-dependent colour and as mist before the cameras. Values are (3, 4): out = M rgb + b.
    Where nothing is learnt (held-out photos, the viewer) the map is the identity, the mean of all.

    Attributes:
        rate, last_rate: Adam's, falling exponentially (those of 3DGS's released code).
    """

    rate: float = 0.01
    last_rate: float = 0.001

    def neutral(self) -> Tensor:
        return torch.eye(3, 4)

    def rate_at(self, progress: float) -> float:
        return float(self.rate * (self.last_rate / self.rate) ** progress)

    def moved(self, splat: Splat, photo: Photo, values: Tensor, extent: float) -> Splat:
        return splat

    def developed(self, image: Tensor, values: Tensor) -> Tensor:
        return image @ values[:, :3].T + values[:, 3]

    def sizes(self, values: Tensor, extent: float) -> dict[str, float]:
        """`exposure_change`: of an entry of the map."""
        change = (values - self.neutral().to(values)).square().mean().sqrt()
        return {"exposure_change": round(change.item(), 4)}
