"""How far a render is from its photo: what training lowers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spaceport_render import triton_kernels
from spaceport_render.ssim_loss import ssim_loss

# The residual, of 1, at which a squared error pulls as hard as an absolute one: about the median of drone
# photos in the midst of training (20 dB). So a share of L2 does not weaken the pixels against SSIM.
EQUAL_PULL_AT = 0.1
# Every so many rows and columns are enough for a median.
THINNING = 4
# What differs by the step of an 8-bit photo is no outlier, however well the rest fits.
LEAST_SCALE = 1 / 255


@dataclass(frozen=True)
class OutlierWeights:
    """Less weight for the places that the splat fits far worse than the rest of the photo.

    What moves between photos (cars, people, canopy in the wind) can't be fitted by a splat that stands still,
    and trying costs floaters. RobustNeRF (Sabour et al., CVPR 2023) trims pixels whose residual, smoothed
    over a neighbourhood, is beyond a quantile of the photo's: movers are clumps, detail to learn is not.
    SpotLessSplats (Sabour et al. 2024) begins with it late. Here a Geman-McClure kernel stands for the trim,
    so that photos in which nothing moves lose next to nothing.

    Attributes:
        start: share of the budget before it; the residuals of a blurred splat are the detail that it lacks.
        medians: the residual at which a pixel has a quarter of its weight, in medians of the photo's: three
            standard deviations, the common bound of outliers, are 4.5 medians of normal residuals.
        radius: of the neighbourhood, pixels.
    """

    start: float = 0.5
    medians: float = 4.5
    radius: int = 2

    def of(self, residual: Tensor) -> Tensor:
        """(H, W, 1) weights, 0 to 1, of the pixels with these residuals (H, W, 3)."""
        smoothed = self._smoothed(residual.abs().mean(dim=2))
        scale = self.medians * smoothed[::THINNING, ::THINNING].median()
        relative = smoothed / scale.clamp(min=LEAST_SCALE)
        return (1.0 + relative.square()).square().reciprocal()[..., None]

    def _smoothed(self, error: Tensor) -> Tensor:
        """(H, W) of the mean over each pixel's neighbourhood."""
        side = 2 * self.radius + 1
        return torch.nn.functional.avg_pool2d(
            error[None, None], side, stride=1, padding=self.radius, count_include_pad=False
        )[0, 0]


@dataclass(frozen=True)
class PhotometricLoss:
    """Differences of the pixels, absolute and squared, and of their structure.

    Attributes:
        ssim_weight: of 1 - SSIM; the rest is the pixels'. 3DGS: 0.2 (Kerbl et al. 2023).
        mse_weight: the squared error's share of the pixels' part. A PSNR is made of it: it asks for the mean
            of what the photos say of a place, as NeRF does (Mildenhall et al. 2020), the absolute one of 3DGS
            for the median.
        outliers: None: every pixel counts alike.
    """

    ssim_weight: float = 0.2
    mse_weight: float = 0.0
    outliers: OutlierWeights | None = None

    def __call__(self, image: Tensor, target: Tensor, progress: float) -> Tensor:
        """A scalar; a CUDA device is not waited for.

        Args:
            image, target: (H, W, 3), 0 to 1.
            progress: the share of the budget that is spent, 0..1.
        """
        is_weighted = self.outliers is not None and progress >= self.outliers.start
        if not is_weighted and triton_kernels.usable_on(image.device):
            return self._by_triton(image, target)
        residual = image - target
        error = residual.abs()
        if self.mse_weight:
            squared = residual.square() / (2 * EQUAL_PULL_AT)
            error = (1 - self.mse_weight) * error + self.mse_weight * squared
        if is_weighted:
            assert self.outliers is not None
            weights = self.outliers.of(residual.detach())
            error = weights * error
            # SSIM is of windows, not of pixels: where one is not to count, the photo shows what is rendered.
            target = target + (1 - weights) * residual.detach()
        return (1 - self.ssim_weight) * error.mean() + self.ssim_weight * ssim_loss(image, target)

    def _by_triton(self, image: Tensor, target: Tensor) -> Tensor:
        """The same, of pixels that all count alike, with a twentieth of the launches."""
        from spaceport_render.triton_photometric import Weights, photometric_loss  # noqa: PLC0415

        pixels = 1 - self.ssim_weight
        weights = Weights(
            absolute=pixels * (1 - self.mse_weight),
            squared=pixels * self.mse_weight / (2 * EQUAL_PULL_AT),
            structure=self.ssim_weight,
        )
        return photometric_loss(image, target, weights)
