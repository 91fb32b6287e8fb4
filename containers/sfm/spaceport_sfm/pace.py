"""How far the work is and how long it will still take: a cost model, corrected by the pace of this run.

Wall time mixes two things that differ between steps: how fast a core is, and how many of them other programs
leave us. Half of two cores halves the speed of matching, which uses both, but not of mapping, which uses one.
So the pace is measured in CPU-seconds, and the cores that we get apart from it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from spaceport.progress import Progress
from spaceport.time_left import SECONDS_LEFT
from spaceport_sfm.steps import CHECKING, STEPS, Step
from spaceport_sfm.workload import Effort

CHECKING_SHARE = 0.05  # of the progress: until the photos are read nobody knows how much there is to do
PRIOR_SHARE = 0.1  # of all expected CPU-seconds: the weight of the model beside what was measured in this run
OVERDUE_REST = 0.1  # of what a step was to take: what it is said to need still when it has taken longer
TICK_S = 5.0  # each line is a write to the job's row


class Moment(NamedTuple):
    """Wall and CPU seconds, of a clock or of a span."""

    wall: float
    cpu: float

    def since(self, earlier: Moment) -> Moment:
        return Moment(self.wall - earlier.wall, self.cpu - earlier.cpu)


class Machine(NamedTuple):
    """CPU-seconds for each that the model expects, and the cores that a step gets if it can use them."""

    pace: float
    cores: float

    def seconds(self, effort: Effort) -> float:
        """Wall seconds."""
        return self.pace * effort.cpu_seconds / min(effort.cores, self.cores)


class Pace:
    """The phases' progress callback: makes of it the stage's, which only rises, and the seconds left.

    Args:
        progress: gets the fraction of the stage, and SECONDS_LEFT among the metrics as soon as this run has
            shown what the model's seconds are on its machine.
    """

    def __init__(
        self,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._progress = progress
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._lock = threading.Lock()  # steps are told from the threads that count
        self._expected: dict[Step, Effort] = {}
        self._ended: dict[Step, Moment] = {}  # what each took
        self._step: Step | None = None
        self._begun = self._told = Moment(clock(), cpu_clock())
        self._measured_at = self._begun.wall
        self._fraction = 0.0  # of the step
        self._risen = 0.0  # of the stage

    def expect(self, efforts: Mapping[Step, Effort]) -> None:
        """Enter what the model expects of steps that are still to come."""
        with self._lock:
            self._expected.update(efforts)

    def __call__(self, step: Step, fraction: float, **metrics: float) -> None:
        """Tell that `fraction` (0..1) of `step` is done."""
        with self._lock:
            now = Moment(self._clock(), self._cpu_clock())
            if step != self._step:
                self._begin(step, now)
            self._fraction, self._told = fraction, now
            self._tell(step, now.wall, metrics)

    def tick(self) -> None:
        """Tell that time has passed, where the step itself has nothing to tell."""
        with self._lock:
            if self._step is not None:
                self._tell(self._step, self._clock(), {})

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

    def _begin(self, step: Step, now: Moment) -> None:
        if self._step is not None:
            self._ended[self._step] = now.since(self._begun)
        self._step, self._begun, self._fraction = step, now, 0.0
        if self._expected and not self._measured():
            # The first step that is told: those before were done by an earlier run, or are the photos' check.
            rest = sum(effort.cpu_seconds for known, effort in self._expected.items() if known in _from(step))
            done = 1 - rest / sum(effort.cpu_seconds for effort in self._expected.values())
            self._risen = max(self._risen, CHECKING_SHARE + (1 - CHECKING_SHARE) * done)

    def _tell(self, step: Step, now: float, metrics: Mapping[str, float]) -> None:
        left = self._seconds_left(step, now)
        self._rise(now, step, left)
        told = {SECONDS_LEFT: float(round(left))} if self._measured() else {}
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

    def _measured(self) -> bool:
        """Whether any step has shown what the model's seconds are here."""
        return any(step in self._expected for step in self._ended) or (
            self._step in self._expected and self._fraction > 0
        )

    def _seconds_left(self, step: Step, now: float) -> float:
        """Of `step` and those to come, by what is known now."""
        machine = self._machine(step)
        seconds = {known: machine.seconds(effort) for known, effort in self._expected.items()}
        of_step = 0.0
        if step in seconds:
            # The step's own pace counts as much as it has shown of it, the machine's for the rest:
            # fraction · took / fraction + (1 - fraction) · seconds, of which 1 - fraction is left.
            took = self._told.wall - self._begun.wall
            untold = (1 - self._fraction) * (took + (1 - self._fraction) * seconds[step])
            # What has passed since it last told counts, down to a rest that nobody can know.
            of_step = max(untold - (now - self._told.wall), OVERDUE_REST * untold)
        return of_step + sum(seconds.get(later, 0.0) for later in _from(step)[1:])

    def _machine(self, step: Step) -> Machine:
        """What the steps so far have shown of the machine."""
        efforts = self._expected.values()
        cpu = expected = spread_cpu = PRIOR_SHARE * sum(effort.cpu_seconds for effort in efforts)
        spread_wall = spread_cpu / max((effort.cores for effort in efforts), default=1.0)
        for known, took in {**self._ended, step: self._told.since(self._begun)}.items():
            effort = self._expected.get(known)
            if effort is not None:
                cpu += took.cpu
                expected += effort.cpu_seconds * (self._fraction if known == step else 1.0)
                if effort.cores > 1:
                    spread_cpu += took.cpu
                    spread_wall += took.wall
        return Machine(cpu / expected, spread_cpu / spread_wall) if expected else Machine(1.0, 1.0)


def _from(step: Step) -> tuple[Step, ...]:
    """`step` and those after it."""
    return STEPS[STEPS.index(step) :]
