"""The few lines that a person at a terminal reads at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from spaceport.quality import ControlNumbers, GeorefNumbers, Origin, Photos, SfmNumbers, SfmReport
from spaceport_sfm.placement.advice import Size, told_of_no_place
from spaceport_sfm.summary import summary

SURVEYED = ControlNumbers(used=["a", "b", "c", "d"], rms_horizontal_m=0.02, rms_vertical_m=0.01)
CHECKED = SURVEYED.model_copy(
    update={"check": ["check1"], "check_rms_horizontal_m": 0.03, "check_rms_vertical_m": 0.04}
)


def told(control: ControlNumbers | None) -> str:
    """What is said of the place of a flight whose GPS is 1.65 m and 2.01 m off."""
    georef = GeorefNumbers(
        rms_horizontal_m=1.65,
        rms_vertical_m=2.01,
        origin=Origin(lat=46.8, lon=-92.0, alt=163.0),
        source="ground_control" if control else "gps",
        control=control,
    )
    report = SfmReport(
        photos=Photos(given=18, refused=[], registered=18),
        sfm=SfmNumbers(seconds=31, cpu_seconds=13, reprojection_px=0.24, points=2233, mean_track=3.9),
        georef=georef,
    )
    return summary(report, Path("out")).splitlines()[1]


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        (None, "On Earth by GPS: 1.65 m horizontally and 2.01 m vertically off it (RMS)"),
        (
            SURVEYED,
            "On Earth by ground control: 0.02 m horizontally and 0.01 m vertically off its 4 points (RMS)",
        ),
        (
            CHECKED,
            "On Earth by ground control: 0.02 m horizontally and 0.01 m vertically off its 4 points,"
            " 0.03 m horizontally and 0.04 m vertically off check points (RMS)",
        ),
    ],
)
def test_the_place_is_measured_against_what_it_rests_on(control, expected):
    assert told(control) == expected


def test_without_a_place_the_size_is_left_to_the_advice():
    # Given a flight without GPS whose size the barometer tells, or nothing
    report = SfmReport(
        photos=Photos(given=18, refused=[], registered=18),
        sfm=SfmNumbers(seconds=31, cpu_seconds=13, reprojection_px=0.24, points=2233, mean_track=3.9),
        georef=None,
        advice=[told_of_no_place(0, Size.BAROMETER)],
    )

    place, advice = summary(report, Path("out")).splitlines()[1:3]

    assert place == "No place on Earth and no north: GPS does not tell them."
    assert "right to some 20 %" in advice
