"""How far the work is and how long it will still take: a cost model, corrected by the pace of this run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from spaceport.progress import Progress
from spaceport.time_left import SECONDS_LEFT
from spaceport_sfm.photo import Photo
from spaceport_sfm.steps import (
    CHECKING,
    FEATURES,
    MAPPING,
    MAPPING_MORE,
    MATCHING,
    MATCHING_MORE,
    PLACEMENT,
    REFINEMENT,
    SEEDS,
    STEPS,
    UNDISTORTION,
    Step,
)

CHECKING_SHARE = 0.05  # of the progress: until the photos are read nobody knows how much there is to do
# From this much of a step on, its own pace is all that counts for what is left of it.
TRUSTED_FRACTION = 0.3
PRIOR_SHARE = 0.05  # of all expected seconds: the weight of the model beside what was measured in this run
TICK_S = 5.0  # each line is a write to the job's row


@dataclass(frozen=True)
class Workload:
    """What the time depends on: `megapixels` of all photos as normalised, `pairs` to match."""

    photos: int
    megapixels: float
    pairs: int
    cores: int

    @classmethod
    def of(cls, photos: Sequence[Photo], pairs: int, cores: int) -> Workload:
        """The work on `photos` with `pairs` of them to match."""
        megapixels = sum(photo.width * photo.height for photo in photos) / 1e6
        return cls(len(photos), megapixels, pairs, cores)


def expected_seconds(work: Workload, *, seeds: bool) -> dict[Step, float]:
    """Wall seconds of the steps after the photos' check."""
    expected = {
        FEATURES: FEATURES_S_PER_MEGAPIXEL * work.megapixels / work.cores,
        MATCHING: _matching_cpu_s(work) / work.cores,
        MAPPING: MAPPING_S_PER_PHOTO * work.photos,
        REFINEMENT: REFINEMENT_S_PER_PHOTO * work.photos,
        PLACEMENT: PLACEMENT_S_PER_PHOTO * work.photos,
        UNDISTORTION: UNDISTORTION_S_PER_MEGAPIXEL * work.megapixels / work.cores,
    }
    return {**expected, SEEDS: SEEDS_S_PER_PHOTO * work.photos} if seeds else expected


def expected_seconds_of_more(work: Workload, left_over: int) -> dict[Step, float]:
    """Wall seconds of the second try for `left_over` photos with the pairs of `work`."""
    return {
        MATCHING_MORE: _matching_cpu_s(work) / work.cores,
        MAPPING_MORE: MAPPING_S_PER_PHOTO * left_over,
    }


# CPU-seconds of a server core, 1600-pixel photos, brighton (18 photos, 85 pairs) / demo flight of 20 where
# they differ; what is not divided by the cores above runs on one. The run's own pace corrects the rest.
FEATURES_S_PER_MEGAPIXEL = 0.5
# All features of a photo with all of another: 0.03 at 640 pixels, 0.22 at 1600, where their number ends.
MATCHING_S_PER_PAIR = 0.025
MATCHING_S_PER_SQUARE_MEGAPIXEL = 0.094
MOST_MEGAPIXELS_MATCHED = 1.5
MAPPING_S_PER_PHOTO = 0.3  # 0.17 / 0.6
REFINEMENT_S_PER_PHOTO = 0.065  # 0.055 / 0.08
PLACEMENT_S_PER_PHOTO = 0.006
UNDISTORTION_S_PER_MEGAPIXEL = 0.09  # 0.08 / 0.10
SEEDS_S_PER_PHOTO = 0.3


def _matching_cpu_s(work: Workload) -> float:
    of_photo = min(work.megapixels / work.photos, MOST_MEGAPIXELS_MATCHED)
    return work.pairs * (MATCHING_S_PER_PAIR + MATCHING_S_PER_SQUARE_MEGAPIXEL * of_photo**2)


class Pace:
    """The phases' progress callback: makes of it the stage's, which only rises, and the seconds left.

    Args:
        progress: gets the fraction of the stage, and SECONDS_LEFT among the metrics when it can be told.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._lock = threading.Lock()  # steps are told from the threads that count
        self._expected: dict[Step, float] = {}
        self._to_come: list[Step] = []
        self._ended_expected = self._ended_took = 0.0
        self._step: Step | None = None
        self._begun = self._told_at = self._measured_at = clock()
        self._fraction = 0.0  # of the step
        self._risen = 0.0  # of the stage

    def expect(self, seconds: Mapping[Step, float]) -> None:
        """Enter what the model expects of steps that are still to come."""
        with self._lock:
            self._expected.update(seconds)
            self._to_come = [step for step in STEPS if step in {*self._to_come, *seconds}]

    def __call__(self, step: Step, fraction: float, **metrics: float) -> None:
        """Tell that `fraction` (0..1) of `step` is done."""
        with self._lock:
            now = self._clock()
            if step != self._step:
                self._begin(step, now)
            self._fraction, self._told_at = fraction, now
            self._rise(now)
            self._tell(metrics)

    def tick(self) -> None:
        """Tell that time has passed, where the step itself has nothing to tell."""
        with self._lock:
            if self._step is not None:
                self._rise(self._clock())
                self._tell({})

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """`tick` every few seconds within."""
        ended = threading.Event()

        def tick() -> None:
            while not ended.wait(TICK_S):
                self.tick()

        ticker = threading.Thread(target=tick, name="ticker", daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            ticker.join()

    def seconds_left(self) -> float | None:
        """Of the steps under way and to come, by what is known now; None before anything is expected."""
        if not self._expected:
            return None
        now = self._clock()
        pace = self._pace()
        left = 0.0
        if self._step in self._expected:
            expected = self._expected[self._step]
            trusted = min(1.0, self._fraction / TRUSTED_FRACTION)
            of_step = (1 - trusted) * pace * expected
            if self._fraction:
                of_step += trusted * (self._told_at - self._begun) / self._fraction
            # What has passed since it last told counts, down to a rest that nobody can know.
            untold = (1 - self._fraction) * of_step
            left += max(untold - (now - self._told_at), 0.1 * untold)
        return left + pace * sum(self._expected[step] for step in self._to_come)

    def _pace(self) -> float:
        """Seconds that pass for each that the model expects."""
        prior = PRIOR_SHARE * sum(self._expected.values())
        return (prior + self._ended_took) / (prior + self._ended_expected)

    def _begin(self, step: Step, now: float) -> None:
        if self._step in self._expected:
            self._ended_expected += self._expected[self._step]
            self._ended_took += now - self._begun
        self._step, self._begun = step, now
        later = STEPS[STEPS.index(step) + 1 :]
        self._to_come = [known for known in self._to_come if known in later]
        if self._expected and not self._ended_expected:
            # The first step that is told: those before were done by an earlier run, or are the photos' check.
            rest = sum(self._expected[known] for known in [*self._to_come, step] if known in self._expected)
            done = 1 - rest / sum(self._expected.values())
            self._risen = max(self._risen, CHECKING_SHARE + (1 - CHECKING_SHARE) * done)

    def _rise(self, now: float) -> None:
        """Let the progress rise at the rate that leads to 1 when the seconds left have passed.

        From 1 - risen over seconds left: so a share of what is left is done whatever comes to be added to it.
        """
        passed, self._measured_at = now - self._measured_at, now
        left = self.seconds_left()
        if self._step == CHECKING:
            self._risen = max(self._risen, CHECKING_SHARE * self._fraction)
        elif left is not None and passed + left > 0:
            self._risen += (1 - self._risen) * passed / (passed + left)

    def _tell(self, metrics: Mapping[str, float]) -> None:
        left = self.seconds_left()
        told = {} if left is None or self._step is None else {SECONDS_LEFT: float(round(left))}
        message = self._step.message if self._step else ""
        self._progress(min(self._risen, 0.99), message, **metrics, **told)
