"""The steps of this stage, with the share of its progress that each is.

Shares are those of wall time on 2 cores for 18 photos (checking 1 s, features 16, matching 9,
mapping 5, undistortion 1).
"""

from __future__ import annotations

from dataclasses import dataclass

from spaceport.progress import Progress


@dataclass(frozen=True)
class Step:
    """One step: from which fraction of the stage to which it leads, and what it is called."""

    start: float
    end: float
    message: str

    def tell(self, progress: Progress, fraction: float, **metrics: float) -> None:
        """Report that `fraction` (clipped to 0..1) of this step is done."""
        share = min(max(fraction, 0.0), 1.0)
        progress(self.start + (self.end - self.start) * share, self.message, **metrics)


CHECKING = Step(0.0, 0.06, "Checking the photos")
FEATURES = Step(0.06, 0.53, "Finding features")
MATCHING = Step(0.53, 0.79, "Matching photos")
MAPPING = Step(0.79, 0.90, "Placing the photos")
# These two only where photos were left over.
MATCHING_MORE = Step(0.90, 0.91, "Matching the photos left over")
MAPPING_MORE = Step(0.91, 0.93, "Placing the photos left over")
PLACEMENT = Step(0.93, 0.94, "Placing the model on Earth")
UNDISTORTION = Step(0.94, 0.95, "Removing lens distortion")
SEEDS = Step(0.95, 0.99, "Looking for points by stereo")  # only on request
END_MESSAGE = "Photos placed"
