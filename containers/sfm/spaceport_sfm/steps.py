"""What people see of each phase while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from spaceport_sfm.phases import Phase


class StepProgress(Protocol):
    """The callback that the phases report to."""

    def __call__(self, step: Step, fraction: float, **metrics: float) -> None:
        """Tell that `fraction` (0..1) of `step` is done; `metrics` are named numbers to show."""


@dataclass(frozen=True)
class Step:
    """The phase that it is, and what people read."""

    phase: Phase
    message: str

    def tell(self, progress: StepProgress, fraction: float, **metrics: float) -> None:
        """Report that `fraction` (clipped to 0..1) of this step is done."""
        progress(self, min(max(fraction, 0.0), 1.0), **metrics)


CHECKING = Step(Phase.PHOTOS, "Checking the photos")
FEATURES = Step(Phase.FEATURES, "Finding features")
MATCHING = Step(Phase.MATCHING, "Matching photos")
MAPPING = Step(Phase.MAPPING, "Placing the photos")
# These two only where photos were left over.
MATCHING_MORE = Step(Phase.MATCHING_MORE, "Matching the photos left over")
MAPPING_MORE = Step(Phase.MAPPING_MORE, "Placing the photos left over")
REFINEMENT = Step(Phase.REFINEMENT, "Refining the model")
PLACEMENT = Step(Phase.PLACEMENT, "Placing the model on Earth")
UNDISTORTION = Step(Phase.UNDISTORTION, "Removing lens distortion")
SEEDS = Step(Phase.SEEDS, "Looking for points by stereo")  # only on request
STEPS = (
    CHECKING,
    FEATURES,
    MATCHING,
    MAPPING,
    MATCHING_MORE,
    MAPPING_MORE,
    REFINEMENT,
    PLACEMENT,
    UNDISTORTION,
    SEEDS,
)
_BY_PHASE = {step.phase: step for step in STEPS}

END_MESSAGE = "Photos placed"


def step_of(phase: Phase) -> Step:
    """What people see of `phase`."""
    return _BY_PHASE[phase]
