"""What real runs are told of their time left, by the traces that `bench/sfm_time_left.py` kept.

They were recorded while others kept both cores busy: features and matching took three to seven times as long
as alone, what runs on one core about twice.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sfm_time_left import Trace, longest_standstill, told_and_true

from spaceport_sfm.phases import Phase

TRACES = Path(__file__).parent / "traces"
# Seconds of each phase on two quiet cores.
QUIET = {
    "brighton": {
        Phase.PHOTOS: 0.2,
        Phase.FEATURES: 7.2,
        Phase.MATCHING: 10.3,
        Phase.MAPPING: 3.1,
        Phase.REFINEMENT: 1.2,
        Phase.PLACEMENT: 0.2,
        Phase.UNDISTORTION: 1.1,
    },
    "demo-flight-20": {
        Phase.PHOTOS: 0.2,
        Phase.FEATURES: 10.6,
        Phase.MATCHING: 22.6,
        Phase.MAPPING: 14.1,
        Phase.REFINEMENT: 2.4,
        Phase.PLACEMENT: 0.4,
        Phase.UNDISTORTION: 1.7,
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
def test_on_cores_that_others_load_and_leave_it_is_told_within_a_factor_of_two_and_a_half(name, share):
    told, true = told_and_true(trace(name), share)

    assert true / 2.5 < told < 2.5 * true


@pytest.mark.parametrize("name", ["brighton", "brighton-640", "demo-flight-20"])
def test_the_progress_never_stands_still_for_ten_seconds(name):
    assert longest_standstill(trace(name)) < 10


def test_a_stretched_phase_moves_those_after_it():
    busy = trace("brighton")

    quiet = busy.stretched({Phase.MATCHING: 10.0})

    began = {phase: at for at, phase, _ in reversed(quiet.told)}
    assert began[Phase.MAPPING] - began[Phase.MATCHING] == pytest.approx(10.0)
    before = {phase: at for at, phase, _ in reversed(busy.told)}
    assert quiet.seconds - began[Phase.MAPPING] == pytest.approx(busy.seconds - before[Phase.MAPPING])
