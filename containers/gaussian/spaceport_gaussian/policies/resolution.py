"""How large the photos are, by iteration."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

SCALES = (0.25, 0.5, 0.75, 1.0)
# The job input's contract: 5K iterations at each size, or quarters of a budget too small for that.
SWITCH_ITERATIONS = (5_000, 10_000, 15_000)


@dataclass(frozen=True)
class ResolutionSchedule:
    """Coarse to fine: small photos first, where an iteration is cheap and a Gaussian's pull reaches far.

    Fixed phases after Trick-GS (Armagan et al., ICASSP 2025) and the job input's contract.

    Attributes:
        switches: the iterations at which the next size starts, ascending.
        scales: the sizes, one more than there are switches; 1 = full size.
    """

    switches: tuple[int, ...]
    scales: tuple[float, ...]

    def scale_at(self, iteration: int) -> float:
        """The photos' scale in iteration `iteration` (from 0)."""
        return self.scales[bisect_right(self.switches, iteration)]

    def is_full(self, iteration: int) -> bool:
        return self.scale_at(iteration) == 1.0


def progressive_resolution(max_iterations: int) -> ResolutionSchedule:
    """The four phases for a budget of `max_iterations`."""
    if max_iterations > SWITCH_ITERATIONS[-1]:
        return ResolutionSchedule(SWITCH_ITERATIONS, SCALES)
    return ResolutionSchedule(tuple(max_iterations * quarter // 4 for quarter in (1, 2, 3)), SCALES)


def constant_resolution() -> ResolutionSchedule:
    """Full size from the first iteration on."""
    return ResolutionSchedule((), (1.0,))


@dataclass(frozen=True)
class FrequencyContent:
    """Each size for as long as it shows something new: the photos' spectrum tells when the next is due.

    DashGaussian (Chen et al., CVPR 2025): with X the sum of the spectrum's magnitudes up to a frequency,
    averaged over the photos, a size that shows frequencies up to F has done its share of the iterations at
    X(F) / X(all). Photos whose magnitudes fall as 1/F get the fixed phases' quarters, photos of fine texture
    leave the small sizes sooner, soft ones later: brighton's at 0.31, 0.57 and 0.81 (480 pixels).

    Attributes:
        scales: the sizes there are, ascending to 1.
        least: the share of X that the first size must show; smaller ones teach next to nothing (paper: 1/4).
        latest: the share of the iterations by which full size starts, however smooth the photos: what is
            delivered is of full size, and the end of a run is only tested there.
    """

    scales: tuple[float, ...] = SCALES
    least: float = 0.25
    latest: float = 0.85

    def schedule(self, photos: Sequence[NDArray[np.uint8]], max_iterations: int) -> ResolutionSchedule:
        """The schedule for training on `photos` (H, W, 3), or on photos like these."""
        shown = spectral_content(photos, self.scales)
        first = next(index for index, share in enumerate(shown) if share >= self.least)
        switches = (round(min(share, self.latest) * max_iterations) for share in shown[first:-1])
        return ResolutionSchedule(tuple(switches), self.scales[first:])


def spectral_content(photos: Sequence[NDArray[np.uint8]], scales: Sequence[float]) -> list[float]:
    """For each of `scales` the share of the magnitudes in the photos' spectra that is left at that size."""
    sums = np.zeros(len(scales))
    for photo in photos:
        magnitudes = np.abs(scipy.fft.fft2(photo.mean(axis=2, dtype=np.float32)))
        # As shares of the highest that the photo can show, half a cycle a pixel.
        down, across = (2 * np.abs(scipy.fft.fftfreq(side)) for side in magnitudes.shape)
        for index, scale in enumerate(scales):
            sums[index] += magnitudes[np.ix_(down <= scale, across <= scale)].sum(dtype=np.float64)
    return [float(each / sums[-1]) for each in sums]
