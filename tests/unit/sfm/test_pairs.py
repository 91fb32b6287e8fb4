"""Which photos are compared, and which share a camera."""

from __future__ import annotations

from collections import Counter
from math import comb

import numpy as np
import pytest

from spaceport.errors import UserError
from spaceport.tuning import Pairing
from spaceport_sfm.mapping.cameras import photos_by_camera
from spaceport_sfm.pairing.pairs import RETRY_PAIRS, RETRY_PARTNERS, more_pairs, plan_pairs
from spaceport_sfm.pairing.pairs_spatial import ALIKE, NEIGHBOURS, OTHERWISE
from spaceport_sfm.photo import Gimbal, Photo
from spaceport_sfm.placement.gps import Position, from_enu

ORIGIN = Position(lat=46.84, lon=-91.99, alt=150.0)
OCEAN = Position(lat=0.1, lon=-30.0, alt=0.0)


def flight(
    count: int,
    spacing_m: float = 20.0,
    located: bool = True,
    gimbal: Gimbal | None = None,
    height: float | None = None,
    origin: Position = ORIGIN,
    first: int = 0,
) -> list[Photo]:
    """`count` photos on a grid ten across, named in the order flown from number `first` on.

    Off the grid by a twentieth, so that no two distances are the same.
    """
    places = spacing_m * np.stack([np.arange(count) % 10, np.arange(count) // 10, np.zeros(count)], axis=1)
    places += 0.05 * spacing_m * np.random.default_rng(0).standard_normal(places.shape)
    return [
        Photo(
            name=f"{first + index:04}.jpg",
            source=f"{index}.jpg",
            width=1600,
            height=1200,
            focal_px=1100.0,
            position=from_enu(places[index], origin) if located else None,
            gimbal=gimbal,
            relative_altitude=height,
        )
        for index in range(count)
    ]


def aerial(count: int, spacing_m: float = 20.0, **options: object) -> list[Photo]:
    """The same by a drone that tells its height and that it looks down: a photo shows 87 by 65 metres."""
    return flight(count, spacing_m, gimbal=Gimbal(yaw=0.0, pitch=-90.0), height=60.0, **options)


def partners(pairs: tuple[tuple[str, str], ...]) -> Counter[str]:
    """How many photos each is compared with."""
    return Counter(name for pair in pairs for name in pair)


class TestChoice:
    @pytest.mark.parametrize(
        ("photos", "strategy"),
        [
            (flight(12), Pairing.EXHAUSTIVE),
            (flight(13), Pairing.SPATIAL),
            (aerial(13), Pairing.SPATIAL),
            (flight(40, located=False), Pairing.EXHAUSTIVE),
            (flight(41, located=False), Pairing.SEQUENTIAL),
            (flight(40, spacing_m=1.0), Pairing.EXHAUSTIVE),
            (flight(400, spacing_m=0.5), Pairing.SEQUENTIAL),
        ],
        ids=["few", "flight", "gimbal", "few unlocated", "unlocated", "few in one place", "one place"],
    )
    def test_the_set_chooses_the_strategy(self, photos, strategy):
        assert plan_pairs(photos).strategy is strategy

    @pytest.mark.parametrize("strategy", [Pairing.EXHAUSTIVE, Pairing.SPATIAL, Pairing.SEQUENTIAL])
    def test_the_caller_s_choice_beats_it(self, strategy):
        assert plan_pairs(flight(20), strategy).strategy is strategy
        assert plan_pairs(aerial(100), strategy).strategy is strategy

    def test_spatial_without_gps_is_refused_with_what_to_do(self):
        photos = flight(8) + flight(12, located=False, first=8)
        with pytest.raises(UserError, match="only 8 of 20 photos") as refused:
            plan_pairs(photos, Pairing.SPATIAL)
        assert refused.value.code == "pairs_need_gps"
        assert "sequential" in refused.value.hint

    def test_pairs_come_once_sorted_and_never_with_themselves(self):
        # Given photos that lie exactly upon each other, so that none is its own nearest for certain
        photos = flight(60, spacing_m=0.0) + aerial(60, first=60)
        for strategy in (Pairing.EXHAUSTIVE, Pairing.SPATIAL, Pairing.SEQUENTIAL):
            pairs = plan_pairs(photos, strategy).pairs
            assert all(first < second for first, second in pairs)
            assert list(pairs) == sorted(set(pairs))

    def test_one_stray_does_not_make_a_large_flight_exhaustive(self):
        for photos in (flight(200), aerial(200)):
            photos[57] = photos[57].model_copy(update={"position": OCEAN})
            photos[99] = photos[99].model_copy(update={"position": None})
            plan = plan_pairs(photos)
            assert plan.strategy is Pairing.SPATIAL
            assert len(plan.pairs) < 200 * 12

    def test_a_stray_in_the_ocean_does_not_make_a_hover_look_spread_out(self):
        photos = flight(40, spacing_m=1.0)
        photos[7] = photos[7].model_copy(update={"position": OCEAN})
        assert plan_pairs(photos).strategy is Pairing.EXHAUSTIVE


class TestGrowth:
    @pytest.mark.parametrize(
        ("make", "a_photo"),
        [
            (flight, NEIGHBOURS),
            (aerial, ALIKE + OTHERWISE),
            (lambda count: flight(count, located=False), 17),
            (lambda count: flight(count, spacing_m=0.01), 17),
            (lambda count: aerial(count, spacing_m=0.01), 17),
        ],
        ids=["nearest", "footprints", "order", "hover", "hover with gimbal"],
    )
    def test_pairs_grow_in_step_with_photos(self, make, a_photo):
        small, large = (len(plan_pairs(make(count)).pairs) for count in (200, 1000))

        assert large <= 1000 * a_photo
        assert large < 6.5 * small  # not 25 times; of the small set more lies at the edge

    def test_footprints_at_one_place_are_bounded_too(self):
        # Given a drone that turns on the spot
        photos = [
            photo.model_copy(update={"gimbal": Gimbal(yaw=7.0 * index, pitch=-40.0)})
            for index, photo in enumerate(aerial(500, spacing_m=0.0))
        ]
        plan = plan_pairs(photos, Pairing.SPATIAL)
        assert len(plan.pairs) <= 500 * (ALIKE + OTHERWISE)


class TestSequential:
    def test_neighbours_in_time_are_compared(self):
        pairs = plan_pairs(flight(300, located=False)).pairs

        assert ("0000.jpg", "0010.jpg") in pairs
        assert ("0000.jpg", "0256.jpg") in pairs
        assert ("0000.jpg", "0011.jpg") not in pairs

    def test_capture_times_beat_names(self):
        # Given names that say nothing of the order, and times that do
        photos = flight(300, located=False)
        shuffled = np.random.default_rng(0).permutation(300)
        timed = [
            photo.model_copy(update={"taken": f"2026:01:01 10:{place // 60:02}:{place % 60:02}"})
            for photo, place in zip(photos, shuffled, strict=True)
        ]

        pairs = plan_pairs(timed).pairs

        first, second = (timed[int(np.flatnonzero(shuffled == place)[0])].name for place in (0, 1))
        assert (min(first, second), max(first, second)) in pairs


class TestSpatial:
    @pytest.mark.parametrize("make", [flight, aerial], ids=["nearest", "footprints"])
    def test_photos_side_by_side_are_compared_although_apart_in_time(self, make):
        pairs = plan_pairs(make(200)).pairs

        assert ("0000.jpg", "0010.jpg") in pairs
        assert ("0000.jpg", "0190.jpg") not in pairs

    @pytest.mark.parametrize("make", [flight, aerial], ids=["nearest", "footprints"])
    @pytest.mark.parametrize("wrong", [None, OCEAN], ids=["none", "in the ocean"])
    def test_a_photo_that_gps_tells_nothing_of_is_compared_by_order(self, make, wrong):
        photos = make(200)
        photos[57] = photos[57].model_copy(update={"position": wrong})

        pairs = plan_pairs(photos).pairs

        assert ("0056.jpg", "0057.jpg") in pairs
        assert ("0057.jpg", "0058.jpg") in pairs
        assert ("0057.jpg", "0067.jpg") in pairs

    @pytest.mark.parametrize("make", [flight, aerial], ids=["nearest", "footprints"])
    def test_the_180th_meridian_is_no_border(self, make):
        # Given a flight that crosses it in the middle, and the same one elsewhere
        across = make(100, origin=Position(lat=-16.8, lon=179.9995, alt=10.0))
        here = make(100, origin=Position(lat=-16.8, lon=140.0, alt=10.0))
        assert {photo.position.lon > 0 for photo in across} == {True, False}

        assert plan_pairs(across).pairs == plan_pairs(here).pairs

    def test_an_oblique_photo_is_compared_with_the_nadir_photos_of_what_it_looks_at(self):
        # Given a photo among the southern ones that looks far to the north
        photos = aerial(200)
        looking = photos[5].model_copy(
            update={"name": "0200.jpg", "gimbal": Gimbal(yaw=0.0, pitch=-40.0)},
        )
        below, ahead = "0005.jpg", "0045.jpg"  # ahead: 80 m to the north, the middle of its picture

        pairs = plan_pairs([*photos, looking]).pairs

        assert (ahead, "0200.jpg") in pairs
        assert (below, "0200.jpg") not in pairs

    def test_photos_that_look_at_one_place_from_opposite_sides_are_not_compared(self):
        photos = aerial(100)
        north, south = (
            photos[55].model_copy(
                update={
                    "name": f"{name}.jpg",
                    "position": from_enu(np.array([90.0, 90.0 + offset, 0.0]), ORIGIN),
                    "gimbal": Gimbal(yaw=yaw, pitch=-40.0),
                }
            )
            for name, offset, yaw in (("north", 71.5, 180.0), ("south", -71.5, 0.0))
        )

        pairs = plan_pairs([*photos, north, south]).pairs

        assert ("north.jpg", "south.jpg") not in pairs

    def test_two_passes_at_different_heights_are_joined(self):
        # Given a dense low pass, and a few photos of all of it from three times as high
        low = [photo.model_copy(update={"relative_altitude": 40.0}) for photo in aerial(200, spacing_m=10.0)]
        high = [
            photo.model_copy(
                update={
                    "relative_altitude": 120.0,
                    "position": from_enu(np.array([index % 3 * 40.0, index // 3 * 60.0, 80.0]), ORIGIN),
                }
            )
            for index, photo in enumerate(aerial(12, first=200))
        ]

        pairs = plan_pairs([*low, *high]).pairs

        across = partners(tuple(pair for pair in pairs if (pair[0] < "0200.jpg") != (pair[1] < "0200.jpg")))
        assert all(across[photo.name] >= 3 for photo in high)
        # and neither pass by itself falls apart for it
        assert ("0200.jpg", "0201.jpg") in pairs
        assert ("0000.jpg", "0001.jpg") in pairs

    @pytest.mark.parametrize("tells", [{}, {"gimbal": Gimbal(yaw=0.0, pitch=-90.0), "height": 60.0}])
    @pytest.mark.parametrize("shape", [(60, 3.0), (20, 0.1)], ids=["lines", "hovers"])
    def test_photos_shot_closely_leave_no_part_apart(self, tells, shape):
        # Given six lines 40 m apart of a photo each 3 m, or hovers of 20 photos each
        each, step = shape
        photos = flight(6 * each, **tells)
        photos = [
            photo.model_copy(
                update={"position": from_enu(np.array([step * (i % each), 40.0 * (i // each), 0.0]), ORIGIN)}
            )
            for i, photo in enumerate(photos)
        ]
        pairs = plan_pairs(photos, Pairing.SPATIAL).pairs

        # Then every line is compared with its neighbours, by more than a pair, and for little
        across = Counter(tuple(sorted(int(name[:4]) // each for name in pair)) for pair in pairs)
        assert all(across[line, line + 1] >= 5 for line in range(5))
        assert len(pairs) < 12 * len(photos)

    def test_a_take_off_from_a_hill_does_not_tear_the_lines_apart(self):
        # Given heights that make every footprint smaller than the distance to the next photo
        photos = [photo.model_copy(update={"relative_altitude": 8.0}) for photo in aerial(200)]

        pairs = plan_pairs(photos).pairs

        assert ("0101.jpg", "0111.jpg") in pairs
        assert len(pairs) < 200 * (NEIGHBOURS + 12)

    def test_photos_that_follow_each_other_closely_don_t_crowd_out_the_next_line(self):
        # Given lines flown at 96 % overlap ahead, 40 m apart
        photos = [
            photo.model_copy(
                update={"position": from_enu(np.array([index // 50 * 40.0, index % 50 * 2.5, 0.0]), ORIGIN)}
            )
            for index, photo in enumerate(aerial(200))
        ]

        pairs = plan_pairs(photos).pairs

        lines = Counter((int(a[:4]) // 50, int(b[:4]) // 50) for a, b in pairs)
        assert min(lines[line, line + 1] for line in range(3)) >= 50


class TestRetry:
    def test_a_photo_left_over_is_compared_with_all_others_of_a_small_set(self):
        photos = aerial(60)
        tried = plan_pairs(photos).pairs

        further = more_pairs(photos, tried, ["0033.jpg"])

        assert not set(further) & set(tried)
        assert all("0033.jpg" in pair for pair in further)
        assert partners((*tried, *further))["0033.jpg"] == 59

    def test_nothing_is_left_to_try_after_all_pairs_or_when_all_are_placed(self):
        photos = flight(12)
        assert more_pairs(photos, plan_pairs(photos).pairs, ["0003.jpg"]) == ()
        assert more_pairs(flight(100), [], []) == ()

    def test_in_a_large_set_it_tries_those_next_to_it(self):
        photos = flight(1000)
        further = more_pairs(photos, plan_pairs(photos).pairs, ["0500.jpg"])

        others = {name for pair in further for name in pair}
        assert len(further) <= RETRY_PARTNERS
        assert {"0503.jpg", "0470.jpg", "0530.jpg"} <= others
        assert "0000.jpg" not in others

    @pytest.mark.parametrize("count", [60, 500])
    def test_it_costs_no_more_than_the_first_try_however_many_are_left_over(self, count):
        photos = flight(count)
        tried = plan_pairs(photos).pairs

        further = more_pairs(photos, tried, [photo.name for photo in photos])

        assert len(further) <= max(len(tried), RETRY_PAIRS)
        # and each photo gets its share of it
        assert min(partners(further)[photo.name] for photo in photos) >= 3

    def test_a_photo_in_the_ocean_gets_those_next_in_order(self):
        photos = aerial(300)
        photos[57] = photos[57].model_copy(update={"position": OCEAN})

        further = more_pairs(photos, [], ["0057.jpg"])

        assert ("0057.jpg", "0077.jpg") in further


def test_exhaustive_takes_every_pair():
    assert len(plan_pairs(flight(30), Pairing.EXHAUSTIVE).pairs) == comb(30, 2)


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
