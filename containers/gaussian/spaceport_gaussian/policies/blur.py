"""How blurred the photos are, by iteration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressiveBlur:
    """Blurred photos first, sharper ones step by step (Trick-GS, Armagan et al., ICASSP 2025).

    Where a first Gaussian is in the wrong place, detail only pulls it about; a blurred photo pulls it the
    right way, and needs few Gaussians. Small photos do much the same for less time, so this adds least
    beside coarse to fine: at a quarter of 1024 pixels the first blur is of 1.3 of them.

    Attributes:
        start: the first blur's standard deviation as a share of the photo's longer side, so that it means
            the same at each size: 8 of 1,600 pixels, about what an eighth of the size is.
        levels: how many there are, each half of the one before and as long: 8, 4, 2 and 1 of 1,600 pixels.
        until: share of the budget after which photos are sharp. In the paper the blur is gone long before
            the end, for what is delivered is to be sharp.
    """

    start: float = 0.005
    levels: int = 4
    until: float = 0.5

    def sigma_at(self, progress: float) -> float:
        """The deviation, in longer sides, when the share `progress` (0..1) of the budget is spent."""
        if progress >= self.until:
            return 0.0
        return float(self.start * 0.5 ** int(self.levels * progress / self.until))
