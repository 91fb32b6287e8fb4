"""How far and how long still: told by a clock of our own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from spaceport_sfm.pace import Pace
from spaceport_sfm.steps import CHECKING, FEATURES, MAPPING, MATCHING, MATCHING_MORE, Step
from spaceport_sfm.workload import Effort


@dataclass
class Run:
    """A run whose time passes when it is told to; `cores` are those that it gets."""

    now: float = 0.0
    cores: float = 1.0
    cpu: float = 0.0
    told: list[tuple[float, float | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pace = Pace(self._progress, lambda: self.now, lambda: self.cpu)

    def _progress(self, fraction: float, message: str = "", **metrics: float) -> None:
        self.told.append((fraction, metrics.get("seconds_left")))

    def do(self, step: Step, seconds: float, reports: int = 10) -> None:
        self.pace(step, 0.0)
        for report in range(1, reports + 1):
            self.now += seconds / reports
            self.cpu += self.cores * seconds / reports
            self.pace(step, report / reports)

    @property
    def left(self) -> float | None:
        """Seconds, as told last."""
        return self.told[-1][1]

    @property
    def fractions(self) -> list[float]:
        return [fraction for fraction, _ in self.told]


EXPECTED = {FEATURES: Effort(40.0), MATCHING: Effort(30.0), MAPPING: Effort(30.0)}


def test_a_run_at_the_models_pace_is_told_to_the_second_and_rises_evenly():
    run = Run()
    run.pace.expect(EXPECTED)

    for step, effort in EXPECTED.items():
        run.do(step, effort.cpu_seconds)

    unknown, *left = [left for _, left in run.told]
    times = [0, *range(4, 41, 4), 40, *range(43, 71, 3), 70, *range(73, 101, 3)]
    assert unknown is None
    assert left == pytest.approx([100 - time for time in times[1:]], abs=1)
    assert run.fractions[:-1] == pytest.approx([0.05 + 0.95 * time / 100 for time in times[:-1]], abs=0.01)


@pytest.mark.parametrize("slowness", [0.5, 3.0])
def test_another_machines_pace_is_learnt_within_the_first_step(slowness):
    run = Run()
    run.pace.expect(EXPECTED)

    run.do(FEATURES, 40 * slowness)
    run.pace(MATCHING, 0.0)

    assert run.left == pytest.approx(60 * slowness, rel=0.3)


@pytest.mark.parametrize(
    ("cores", "mapping_s"),
    [(4.0, 30.0), (2.0, 30.0), (0.5, 60.0)],  # others leave half of the cores, and half of one
)
def test_a_step_of_one_core_is_as_fast_until_less_than_one_is_left(cores, mapping_s):
    run = Run(cores=cores)
    run.pace.expect({MATCHING: Effort(400.0, cores=4), MAPPING: Effort(30.0)})

    run.do(MATCHING, 400 / cores)
    run.pace(MAPPING, 0.0)

    assert run.left == pytest.approx(mapping_s, rel=0.3)


def test_more_work_slows_the_progress_but_neither_stops_nor_turns_it():
    run = Run()
    run.pace.expect(EXPECTED)
    for step, effort in EXPECTED.items():
        run.do(step, effort.cpu_seconds)
    before = run.fractions[-1]

    run.pace.expect({MATCHING_MORE: Effort(50.0)})
    run.do(MATCHING_MORE, 50.0)

    assert run.fractions == sorted(run.fractions)
    rise = [fraction for fraction in run.fractions if fraction > before]
    assert len(set(rise)) > 3 or before == 0.99


def test_nothing_is_promised_before_the_photos_are_read():
    run = Run()

    run.do(CHECKING, 10.0)

    assert {left for _, left in run.told} == {None}
    assert run.fractions[-1] == pytest.approx(0.05)


def test_the_first_report_of_a_step_that_came_late_does_not_turn_the_estimate():
    run = Run()
    run.pace.expect(EXPECTED)
    run.do(FEATURES, 40.0)
    run.pace(MATCHING, 0.0)

    run.now += 6.0  # a fifth of what all of it was to take: that pace alone would say 294 s
    run.pace(MATCHING, 0.02)

    assert 24 + 30 < run.left < 75


def test_a_silent_step_runs_down_and_never_says_zero_too_early():
    run = Run()
    run.pace.expect({FEATURES: Effort(10.0), MAPPING: Effort(100.0)})
    run.do(FEATURES, 10.0, reports=1)
    run.told.clear()
    run.pace(MAPPING, 0.0)

    for _ in range(60):
        run.now += 5.0
        run.pace.tick()

    assert run.told[10][1] == pytest.approx(50, abs=2)
    assert run.left == pytest.approx(10, abs=1)
    assert run.fractions == sorted(run.fractions)
    assert run.fractions[-1] <= 0.99


def test_a_resumed_run_starts_where_the_other_stopped():
    run = Run()
    run.pace.expect(EXPECTED)

    run.pace(MAPPING, 0.0)
    run.now, run.cpu = 6.0, 6.0
    run.pace(MAPPING, 0.2)

    assert run.fractions[0] == pytest.approx(0.05 + 0.95 * 0.7)
    assert run.left == pytest.approx(24, abs=1)
