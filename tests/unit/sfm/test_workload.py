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
    expected_seconds,
    expected_seconds_after_matching,
    expected_seconds_of_more,
)

BRIGHTON = Workload(photos=18, megapixels=25.92, pairs=85, cores=2)
FLIGHT_OF_20 = Workload(photos=20, megapixels=38.4, pairs=175, cores=2)


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (BRIGHTON, {FEATURES: 7.2, MATCHING: 10.3, UNDISTORTION: 1.1}),
        (FLIGHT_OF_20, {FEATURES: 10.6, MATCHING: 22.6, UNDISTORTION: 1.7}),
    ],
)
def test_what_depends_on_pixels_and_pairs_is_as_measured(work, seconds):
    expected = expected_seconds(work, seeds=False)

    assert {step: expected[step] for step in seconds} == pytest.approx(seconds, rel=0.15)


@pytest.mark.parametrize(
    ("work", "matched", "mapping", "refinement"),
    [(BRIGHTON, 45_514, 3.1, 1.2), (FLIGHT_OF_20, 183_034, 14.1, 2.4)],
)
def test_matches_tell_more_of_mapping_than_pairs(work, matched, mapping, refinement):
    before, after = expected_seconds(work, seeds=False), expected_seconds_after_matching(matched)

    assert before[MAPPING] + before[REFINEMENT] == pytest.approx(mapping + refinement, rel=0.4)
    assert after[MAPPING] + after[REFINEMENT] == pytest.approx(mapping + refinement, rel=0.2)


def test_photos_are_shared_out_among_the_cores():
    seconds = expected_seconds(FLIGHT_OF_20, seeds=False)
    of_16_cores = expected_seconds(replace(FLIGHT_OF_20, cores=16), seeds=False)

    assert of_16_cores[FEATURES] == pytest.approx(seconds[FEATURES] / 5)  # two rounds instead of ten
    assert of_16_cores[MATCHING] == pytest.approx(seconds[MATCHING] / 8)
    assert of_16_cores[MAPPING] == seconds[MAPPING]


def test_seeds_and_the_second_try_are_expected_only_where_they_come():
    once = expected_seconds(BRIGHTON, seeds=False)

    assert SEEDS not in once
    assert SEEDS in expected_seconds(BRIGHTON, seeds=True)
    assert MATCHING_MORE not in once
    assert expected_seconds_of_more(BRIGHTON)[MATCHING_MORE] == once[MATCHING]
