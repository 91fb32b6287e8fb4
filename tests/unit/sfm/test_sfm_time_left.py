"""What real runs are told of their time left, by the traces that `bench/sfm_time_left.py` kept.

They were recorded while others kept both cores busy, at a third of the speed. Their CPU-seconds are known for
each phase, and spread evenly over it. In brighton-load-falls they
are as recorded, and the run got 0.2 cores at first, 0.8 in matching.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sfm_time_left import Trace, longest_standstill, told_and_true

from spaceport_sfm.pace import Moment
from spaceport_sfm.phases import Phase

TRACES = Path(__file__).parent / "traces"
# Wall and CPU seconds of each phase on two quiet cores.
QUIET = {
    "brighton": {
        Phase.PHOTOS: Moment(0.2, 0.3),
        Phase.FEATURES: Moment(7.2, 13.5),
        Phase.MATCHING: Moment(10.3, 18.8),
        Phase.MAPPING: Moment(3.1, 3.1),
        Phase.REFINEMENT: Moment(1.2, 1.2),
        Phase.PLACEMENT: Moment(0.2, 0.2),
        Phase.UNDISTORTION: Moment(1.1, 2.1),
    },
    "demo-flight-20": {
        Phase.PHOTOS: Moment(0.2, 0.4),
        Phase.FEATURES: Moment(10.6, 20.6),
        Phase.MATCHING: Moment(22.6, 43.2),
        Phase.MAPPING: Moment(14.1, 14.1),
        Phase.REFINEMENT: Moment(2.4, 2.4),
        Phase.PLACEMENT: Moment(0.4, 0.4),
        Phase.UNDISTORTION: Moment(1.7, 3.1),
    },
}


def trace(name: str) -> Trace:
    return Trace.model_validate_json((TRACES / f"{name}.json").read_bytes())


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("name", QUIET)
def test_on_quiet_cores_the_time_left_is_told_within_30_percent(name, share):
    told, true = told_and_true(trace(name).stretched(QUIET[name]), share)

    assert told == pytest.approx(true, rel=0.3)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("name", ["brighton", "brighton-640", "demo-flight-20"])
def test_on_cores_that_others_load_steadily_it_is_told_within_40_percent(name, share):
    told, true = told_and_true(trace(name), share)

    assert told == pytest.approx(true, rel=0.4)


@pytest.mark.parametrize("name", sorted(path.stem for path in TRACES.iterdir()))
def test_the_progress_never_stands_still_for_ten_seconds(name):
    assert longest_standstill(trace(name)) < 10


def test_a_stretched_phase_moves_those_after_it():
    busy = trace("brighton")

    quiet = busy.stretched({Phase.MATCHING: Moment(10.0, 20.0)})

    began = {phase: at for at, _, phase, _ in reversed(quiet.told)}
    assert began[Phase.MAPPING] - began[Phase.MATCHING] == pytest.approx(10.0)
    before = {phase: at for at, _, phase, _ in reversed(busy.told)}
    assert quiet.seconds - began[Phase.MAPPING] == pytest.approx(busy.seconds - before[Phase.MAPPING])
