"""What the cost model expects, against what was measured on quiet machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spaceport_sfm.steps import (
    FEATURES,
    MAPPING,
    MATCHING,
    MATCHING_MORE,
    REFINEMENT,
    SEEDS,
    UNDISTORTION,
)
from spaceport_sfm.workload import (
    Workload,
    expected_efforts,
    expected_efforts_after_matching,
    expected_efforts_of_more,
)

BRIGHTON = Workload(photos=18, megapixels=25.92, pairs=85, cores=2)
FLIGHT_OF_20 = Workload(photos=20, megapixels=38.4, pairs=175, cores=2)


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (BRIGHTON, {FEATURES: 13.5, MATCHING: 18.8, UNDISTORTION: 2.1}),
        (FLIGHT_OF_20, {FEATURES: 20.6, MATCHING: 43.2, UNDISTORTION: 3.1}),
    ],
)
def test_what_depends_on_pixels_and_pairs_is_as_measured(work, seconds):
    expected = expected_efforts(work, seeds=False)

    assert {step: expected[step].cpu_seconds for step in seconds} == pytest.approx(seconds, rel=0.15)


@pytest.mark.parametrize(
    ("work", "matched", "mapping", "refinement"),
    [(BRIGHTON, 45_514, 3.1, 1.2), (FLIGHT_OF_20, 183_034, 14.1, 2.4)],
)
def test_matches_tell_more_of_mapping_than_pairs(work, matched, mapping, refinement):
    before, after = expected_efforts(work, seeds=False), expected_efforts_after_matching(matched)

    assert before[MAPPING].cpu_seconds + before[REFINEMENT].cpu_seconds == pytest.approx(
        mapping + refinement, rel=0.4
    )
    assert after[MAPPING].cpu_seconds + after[REFINEMENT].cpu_seconds == pytest.approx(
        mapping + refinement, rel=0.2
    )


def test_photos_are_shared_out_among_the_cores():
    of_2_cores = expected_efforts(FLIGHT_OF_20, seeds=False)
    of_16_cores = expected_efforts(replace(FLIGHT_OF_20, cores=16), seeds=False)

    assert of_2_cores[FEATURES].cores == of_2_cores[MATCHING].cores == 2
    assert of_16_cores[FEATURES].cores == 10  # two rounds: twenty photos in the time of two
    assert of_16_cores[MATCHING].cores == 16
    assert of_16_cores[MAPPING].cores == 1


def test_seeds_and_the_second_try_are_expected_only_where_they_come():
    once = expected_efforts(BRIGHTON, seeds=False)

    assert SEEDS not in once
    assert SEEDS in expected_efforts(BRIGHTON, seeds=True)
    assert MATCHING_MORE not in once
    assert expected_efforts_of_more(BRIGHTON)[MATCHING_MORE] == once[MATCHING]
