"""The splat itself: arrays of 3D Gaussians in the conventions of the original 3DGS files."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians, float32, as a 3DGS PLY stores them (before activation).

    Attributes:
        means: (N, 3) centres, metres in the scene's local z-up frame.
        quats: (N, 4) rotations, w x y z; need not be normalised.
        log_scales: (N, 3) natural log of the standard deviations along the own axes, metres.
        opacity_logits: (N,) opacity before the sigmoid.
        sh: (N, K, 3) spherical harmonics, K = (degree + 1)²; colour = 0.5 + Σ basis · sh.
        antialiased: how they are to be drawn, see `rasterize`.
    """

    antialiased: ClassVar[bool] = False

    means: Floats
    quats: Floats
    log_scales: Floats
    opacity_logits: Floats
    sh: Floats

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return round(self.sh.shape[1] ** 0.5) - 1

    @property
    def opacities(self) -> Floats:
        return (1.0 / (1.0 + np.exp(-self.opacity_logits.astype(np.float64)))).astype(np.float32)

    @property
    def scales(self) -> Floats:
        return np.exp(self.log_scales)

    def select(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Gaussians:
        """The Gaussians at `chosen`: indices in the wanted order, or a mask."""
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


class AntialiasedGaussians(Gaussians):
    """Gaussians that were trained with Mip-Splatting's 2D filter, and look as they did only with it."""

    antialiased = True
