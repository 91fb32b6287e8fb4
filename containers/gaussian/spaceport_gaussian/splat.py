"""The splat under training: the learnt tensors, and how they are rendered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_gaussian.photos import Vantage
from spaceport_render.gaussians import AntialiasedGaussians, Gaussians
from spaceport_render.rasterize import Rasterization, rasterize

PARAMETERS = ("means", "quats", "log_scales", "opacity_logits", "sh_dc", "sh_rest")
BACKGROUND = (0.0, 0.0, 0.0)


def band(degree: int) -> slice:
    """Where the coefficients of `degree` (from 1) are in `Splat.sh_rest`."""
    return slice(degree**2 - 1, (degree + 1) ** 2 - 1)


@dataclass
class Splat:
    """N Gaussians as leaf tensors, before activation (as in `Gaussians`).

    The constant colour and the view-dependent bands are apart, because they learn at different rates.

    Attributes:
        means: (N, 3) metres.
        quats: (N, 4) w x y z.
        log_scales: (N, 3).
        opacity_logits: (N,).
        sh_dc: (N, 1, 3).
        sh_rest: (N, K - 1, 3), K = (degree + 1)².
        antialiased: how it is drawn, see `rasterize`.
        bands: (N, degree) bool, which bands of degrees 1 and on may differ from 0; None: all.
    """

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    opacity_logits: Tensor
    sh_dc: Tensor
    sh_rest: Tensor
    antialiased: bool = False
    bands: Tensor | None = None

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Splat:
        """A splat that learns from here on, started at `tensors` (by the names of PARAMETERS)."""
        return cls(**{name: tensors[name].detach().clone().requires_grad_(True) for name in PARAMETERS})

    @classmethod
    def of_gaussians(cls, gaussians: Gaussians, device: torch.device) -> Splat:
        sh = torch.tensor(gaussians.sh, device=device)
        return cls.of(
            {
                "means": torch.tensor(gaussians.means, device=device),
                "quats": torch.tensor(gaussians.quats, device=device),
                "log_scales": torch.tensor(gaussians.log_scales, device=device),
                "opacity_logits": torch.tensor(gaussians.opacity_logits, device=device),
                "sh_dc": sh[:, :1],
                "sh_rest": sh[:, 1:],
            }
        )

    def __len__(self) -> int:
        return len(self.means)

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in PARAMETERS}

    @property
    def opacities(self) -> Tensor:
        return torch.sigmoid(self.opacity_logits)

    @property
    def scales(self) -> Tensor:
        return torch.exp(self.log_scales)

    @property
    def max_sh_degree(self) -> int:
        return math.isqrt(self.sh_rest.shape[1] + 1) - 1

    @property
    def degrees(self) -> range:
        """Of the view-dependent bands."""
        return range(1, self.max_sh_degree + 1)

    def keep_bands(self, keep: Tensor) -> None:
        """Set to 0, now and from here on, the bands where `keep` (N, degree; bool) is False."""
        self.bands = keep if self.bands is None else self.bands & keep
        self.clear_bands()

    @torch.no_grad()
    def clear_bands(self) -> None:
        """Set to 0 the bands that are not to differ from it."""
        if self.bands is not None:
            for degree in self.degrees:
                self.sh_rest[:, band(degree)] *= self.bands[:, degree - 1, None, None]

    def render(
        self, at: Vantage, sh_degree: int | None = None, *, opacity_factors: Tensor | None = None
    ) -> Rasterization:
        """The splat seen from `at` (a photo's, say), with SH bands up to `sh_degree` (default: all).

        Args:
            opacity_factors: (N,) what the opacities are multiplied by; none gets higher than 1.
        """
        opacities = self.opacities
        if opacity_factors is not None:
            opacities = (opacities * opacity_factors).clamp(max=1.0)
        degree = self.max_sh_degree if sh_degree is None else min(sh_degree, self.max_sh_degree)
        return rasterize(
            self.means,
            self.quats,
            self.scales,
            opacities,
            (self.sh_dc, self.sh_rest),
            at.world_to_camera,
            at.intrinsics,
            at.camera.width,
            at.camera.height,
            sh_degree=degree,
            background=BACKGROUND,
            antialiased=self.antialiased,
        )

    def to_gaussians(self) -> Gaussians:
        """A copy as plain arrays, rotations normalised."""
        with torch.no_grad():
            quats = torch.nn.functional.normalize(self.quats, dim=-1)
            sh = torch.cat([self.sh_dc, self.sh_rest], dim=1)
            return (AntialiasedGaussians if self.antialiased else Gaussians)(
                means=self.means.detach().cpu().numpy().copy(),
                quats=quats.cpu().numpy(),
                log_scales=self.log_scales.detach().cpu().numpy().copy(),
                opacity_logits=self.opacity_logits.detach().cpu().numpy().copy(),
                sh=sh.cpu().numpy(),
            )
