"""Which photos are compared, and which share a camera."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from spaceport_sfm.cameras import photos_by_camera
from spaceport_sfm.gps import Position, from_enu
from spaceport_sfm.pairs import SPATIAL_NEIGHBOURS, SPATIAL_NEIGHBOURS_WIDER, Strategy, plan_pairs
from spaceport_sfm.photo import Photo

ORIGIN = Position(lat=46.84, lon=-91.99, alt=150.0)


def flight(count: int, spacing_m: float, located: bool = True) -> list[Photo]:
    """`count` photos on a grid ten across, named in the order flown."""
    return [
        Photo(
            name=f"{index:04}.jpg",
            source=f"{index}.jpg",
            width=1600,
            height=900,
            position=from_enu(np.array([index % 10 * spacing_m, index // 10 * spacing_m, 0.0]), ORIGIN)
            if located
            else None,
        )
        for index in range(count)
    ]


@pytest.mark.parametrize(
    "photos",
    [flight(12, 20.0), flight(40, 20.0, located=False), flight(100, 2.0)],
    ids=["few", "few without GPS", "dense"],
)
def test_few_or_dense_photos_are_all_compared(photos):
    plan = plan_pairs(photos)

    assert plan.strategy is Strategy.EXHAUSTIVE
    assert len(plan.pairs) == comb(len(photos), 2)
    assert plan.wider == ()


def test_a_large_flight_compares_neighbours_and_its_cost_grows_in_step():
    small, large = plan_pairs(flight(200, 20.0)), plan_pairs(flight(1000, 20.0))

    assert small.strategy is large.strategy is Strategy.SPATIAL
    assert len(large.pairs) < 1000 * SPATIAL_NEIGHBOURS
    assert len(large.pairs) < 5.3 * len(small.pairs)
    assert set(large.pairs) < set(large.wider)
    assert len(large.wider) < 1000 * SPATIAL_NEIGHBOURS_WIDER
    # Next to each other on the ground, two strips apart in time
    assert ("0000.jpg", "0010.jpg") in small.pairs


def test_a_middling_flight_may_compare_all_in_its_second_try():
    plan = plan_pairs(flight(100, 20.0))

    assert plan.strategy is Strategy.SPATIAL
    assert len(plan.wider) == comb(100, 2)


def test_without_gps_neighbours_in_time_are_compared():
    plan = plan_pairs(flight(300, 20.0, located=False))

    assert plan.strategy is Strategy.SEQUENTIAL
    assert ("0000.jpg", "0010.jpg") in plan.pairs
    assert ("0000.jpg", "0256.jpg") in plan.pairs
    assert ("0000.jpg", "0011.jpg") not in plan.pairs


def test_capture_times_beat_names():
    # Given names that say nothing of the order, and times that do
    photos = flight(300, 20.0, located=False)
    shuffled = np.random.default_rng(0).permutation(300)
    timed = [
        photo.model_copy(update={"taken": f"2026:01:01 10:{place // 60:02}:{place % 60:02}"})
        for photo, place in zip(photos, shuffled, strict=True)
    ]

    plan = plan_pairs(timed)

    first, second = (timed[int(np.flatnonzero(shuffled == place)[0])].name for place in (0, 1))
    assert (min(first, second), max(first, second)) in plan.pairs


def test_a_photo_without_gps_among_others_is_compared_by_order():
    photos = flight(200, 20.0)
    photos[57] = photos[57].model_copy(update={"position": None})

    plan = plan_pairs(photos)

    assert plan.strategy is Strategy.SPATIAL
    assert ("0056.jpg", "0057.jpg") in plan.pairs
    assert ("0057.jpg", "0058.jpg") in plan.pairs


def test_one_camera_for_each_body_lens_focal_length_and_size():
    wide = Photo(name="1.jpg", source="1", width=1600, height=900, body="DJI FC300S", focal=(3.61, 20.0))
    photos = [
        wide,
        wide.model_copy(update={"name": "2.jpg", "width": 900, "height": 1600}),
        wide.model_copy(update={"name": "3.jpg", "focal": (7.0, 40.0)}),
        wide.model_copy(update={"name": "4.jpg", "body": "DJI FC6310"}),
        wide.model_copy(update={"name": "5.jpg"}),
    ]

    groups = [[photo.name for photo in group] for group in photos_by_camera(photos)]

    assert groups == [["1.jpg", "5.jpg"], ["2.jpg"], ["3.jpg"], ["4.jpg"]]
