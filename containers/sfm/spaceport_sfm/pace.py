"""How far the work is and how long it will still take: a cost model, corrected by the pace of this run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from spaceport.progress import Progress
from spaceport.time_left import SECONDS_LEFT
from spaceport_sfm.steps import CHECKING, STEPS, Step

CHECKING_SHARE = 0.05  # of the progress: until the photos are read nobody knows how much there is to do
PRIOR_SHARE = 0.1  # of all expected seconds: the weight of the model beside what was measured in this run
OVERDUE_REST = 0.1  # of what a step was to take: what it is said to need still when it has taken longer
TICK_S = 5.0  # each line is a write to the job's row


class Pace:
    """The phases' progress callback: makes of it the stage's, which only rises, and the seconds left.

    Args:
        progress: gets the fraction of the stage, and SECONDS_LEFT among the metrics as soon as this run has
            shown what the model's seconds are on its machine.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._lock = threading.Lock()  # steps are told from the threads that count
        self._expected: dict[Step, float] = {}
        self._ended_expected = self._ended_took = 0.0
        self._step: Step | None = None
        self._begun = self._told_at = self._measured_at = clock()
        self._fraction = 0.0  # of the step
        self._risen = 0.0  # of the stage

    def expect(self, seconds: Mapping[Step, float]) -> None:
        """Enter what the model expects of steps that are still to come."""
        with self._lock:
            self._expected.update(seconds)

    def __call__(self, step: Step, fraction: float, **metrics: float) -> None:
        """Tell that `fraction` (0..1) of `step` is done."""
        with self._lock:
            now = self._clock()
            if step != self._step:
                self._begin(step, now)
            self._fraction, self._told_at = fraction, now
            self._tell(now, metrics)

    def tick(self) -> None:
        """Tell that time has passed, where the step itself has nothing to tell."""
        with self._lock:
            if self._step is not None:
                self._tell(self._clock(), {})

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

    def _begin(self, step: Step, now: float) -> None:
        if self._step in self._expected:
            self._ended_expected += self._expected[self._step]
            self._ended_took += now - self._begun
        self._step, self._begun = step, now
        if self._expected and not self._ended_expected:
            # The first step that is told: those before were done by an earlier run, or are the photos' check.
            rest = self._expected.get(step, 0.0) + self._expected_after(step)
            done = 1 - rest / sum(self._expected.values())
            self._risen = max(self._risen, CHECKING_SHARE + (1 - CHECKING_SHARE) * done)

    def _tell(self, now: float, metrics: Mapping[str, float]) -> None:
        step = self._step
        if step is None:
            return
        left = self._seconds_left(step, now)
        self._rise(now, step, left)
        measured = self._ended_expected or (step in self._expected and self._fraction)
        told = {SECONDS_LEFT: float(round(left))} if measured else {}
        self._progress(min(self._risen, 0.99), step.message, **metrics, **told)

    def _rise(self, now: float, step: Step, left: float) -> None:
        """Let the progress rise at the rate that leads to 1 when the seconds left have passed.

        From 1 - risen over seconds left: so a share of what is left is done whatever comes to be added to it.
        """
        passed, self._measured_at = now - self._measured_at, now
        if step == CHECKING:
            self._risen = max(self._risen, CHECKING_SHARE * self._fraction)
        elif passed + left > 0:
            self._risen += (1 - self._risen) * passed / (passed + left)

    def _seconds_left(self, step: Step, now: float) -> float:
        """Of `step` and those to come, by what is known now."""
        pace = self._pace(step)
        of_step = 0.0
        if step in self._expected:
            # The step's own pace counts as much as it has shown of it, the machine's for the rest:
            # fraction · took / fraction + (1 - fraction) · pace · expected, of which 1 - fraction is left.
            took = self._told_at - self._begun
            untold = (1 - self._fraction) * (took + (1 - self._fraction) * pace * self._expected[step])
            # What has passed since it last told counts, down to a rest that nobody can know.
            of_step = max(untold - (now - self._told_at), OVERDUE_REST * untold)
        return of_step + pace * self._expected_after(step)

    def _pace(self, step: Step) -> float:
        """Seconds that pass for each that the model expects."""
        prior = PRIOR_SHARE * sum(self._expected.values())
        took, expected = prior + self._ended_took, prior + self._ended_expected
        if step in self._expected:
            took += self._told_at - self._begun
            expected += self._fraction * self._expected[step]
        return took / expected if expected else 1.0

    def _expected_after(self, step: Step) -> float:
        return sum(self._expected.get(later, 0.0) for later in STEPS[STEPS.index(step) + 1 :])
