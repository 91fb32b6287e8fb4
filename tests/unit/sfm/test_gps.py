"""Positions from EXIF and in metres."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spaceport_sfm.placement.gps import Position, from_enu, median_position, position_from_exif, to_enu

DULUTH = {1: "N", 2: (46.0, 50.0, 33.3855), 3: "W", 4: (91.0, 59.0, 40.4156), 5: b"\0", 6: 198.309}


def test_degrees_minutes_and_seconds_are_read_with_their_hemisphere():
    position = position_from_exif(DULUTH)

    assert position is not None
    assert (position.lat, position.lon, position.alt) == pytest.approx((46.8426071, -91.9945599, 198.309))


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {**DULUTH, 2: (math.nan, 0.0, 0.0)},
        {**DULUTH, 2: (91.0, 0.0, 0.0)},
        {**DULUTH, 4: (181.0, 0.0, 0.0)},
        {**DULUTH, 2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
        {**DULUTH, 2: (46.0,)},
        {**DULUTH, 4: "west"},
    ],
    ids=["nothing", "nan", "beyond the pole", "beyond 180", "null island", "one number", "text"],
)
def test_a_position_that_cant_be_true_is_none(broken):
    assert position_from_exif(broken) is None


@pytest.mark.parametrize("south", ["S", "s", "S\0", b"S", b"S\0"])
def test_the_hemisphere_is_read_however_it_is_written(south):
    assert position_from_exif({**DULUTH, 1: south}).lat == pytest.approx(-46.8426071)


def test_an_altitude_that_cant_be_true_leaves_the_place():
    assert position_from_exif({**DULUTH, 6: 1e9}).alt is None
    assert position_from_exif({**DULUTH, 5: b"\1", 6: 12.0}).alt == -12.0


def test_metres_agree_with_the_length_of_a_degree():
    # At 45° a degree of latitude is 111,132 m and one of longitude 78,847 m long: here minutes, at 100 m.
    # What is level there sinks below the horizon here, by distance² / 2 R.
    origin = Position(lat=45.0, lon=7.0, alt=100.0)
    north, east, up = (
        Position(lat=45.0 + 1 / 60, lon=7.0, alt=100.0),
        Position(lat=45.0, lon=7.0 + 1 / 60, alt=100.0),
        Position(lat=45.0, lon=7.0, alt=150.0),
    )

    enu = to_enu([north, east, up], origin)

    assert enu[0] == pytest.approx([0.0, 111_132 / 60, -0.27], abs=0.1)
    assert enu[1] == pytest.approx([78_847 / 60, 0.14, -0.14], abs=0.1)
    assert enu[2] == pytest.approx([0.0, 0.0, 50.0], abs=1e-6)


@pytest.mark.parametrize("origin", [(46.8, -92.0, 198.0), (-33.9, 179.9999, 5.0), (89.9, 10.0, 2000.0)])
def test_there_and_back_is_the_same_place(origin):
    origin = Position(lat=origin[0], lon=origin[1], alt=origin[2])
    offsets = np.array([[300.0, -200.0, 50.0], [-4000.0, 9000.0, -120.0]])

    back = to_enu([from_enu(offset, origin) for offset in offsets], origin)

    assert back == pytest.approx(offsets, abs=1e-5)


def test_the_middle_of_a_flight_across_the_date_line_is_there():
    middle = median_position([Position(lat=1.0, lon=lon) for lon in (179.9998, 179.9999, -179.9999)])

    assert middle.lon == pytest.approx(179.9999)
    assert middle.alt is None
