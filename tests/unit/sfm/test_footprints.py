"""Which ground a photo shows, and how much of it two photos share."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from spaceport.tuning import Pairing
from spaceport_demo.flight import TAKE_OFF_HEIGHT, Shot
from spaceport_demo.survey import GIMBAL_SIGMA, GPS_SIGMA, ORIGIN, Survey
from spaceport_demo.xmp import gimbal_angles
from spaceport_sfm.pairing.footprints import Footprints, footprints, heights_above_ground
from spaceport_sfm.pairing.pairs import plan_pairs
from spaceport_sfm.photo import Gimbal, Photo
from spaceport_sfm.placement.gps import Position, from_enu

# A photo 100 m up shows 160 by 120 metres.
FOCAL_PX, WIDTH, HEIGHT = 1000.0, 1600, 1200


def photo(gimbal: Gimbal | None = None, **fields: object) -> Photo:
    return Photo(
        name="a.jpg",
        source="a.jpg",
        width=WIDTH,
        height=HEIGHT,
        **{"focal_px": FOCAL_PX, "gimbal": gimbal, **fields},
    )


def seen(gimbal: Gimbal | None, east: float = 0.0, north: float = 0.0, height: float = 100.0) -> Footprints:
    """The footprint of one photo."""
    return footprints([photo(gimbal)], np.array([[east, north, 0.0]]), np.array([height]))


def shared(*shots: tuple[Gimbal, float, float, float]) -> float:
    """What two photos share: (gimbal, east, north, height) of each."""
    both = footprints(
        [photo(gimbal) for gimbal, *_ in shots],
        np.array([[east, north, 0.0] for _, east, north, _ in shots]),
        np.array([height for *_, height in shots]),
    )
    return float(both.shared(np.array([0]), np.array([1]))[0])


DOWN = Gimbal(yaw=0.0, pitch=-90.0)


class TestFootprint:
    def test_straight_down_it_lies_below(self):
        prints = seen(DOWN, east=10.0, north=20.0)
        points = prints.points[0]
        assert prints.centres[0] == pytest.approx([10.0, 20.0])
        assert np.ptp(points, axis=0) == pytest.approx([160 * 6 / 7, 120 * 6 / 7])  # centres of 7 x 7 cells

    def test_turned_east_its_upper_edge_lies_there(self):
        points = seen(Gimbal(yaw=90.0, pitch=-90.0)).points[0].reshape(7, 7, 2)
        assert points[0].mean(axis=0) == pytest.approx([120 * 3 / 7, 0.0])
        assert points[:, 0].mean(axis=0) == pytest.approx([0.0, 160 * 3 / 7])  # its left edge: north

    @pytest.mark.parametrize(
        ("gimbal", "place"),
        [
            (Gimbal(yaw=0.0, pitch=-45.0), [0.0, 100.0]),
            (Gimbal(yaw=90.0, pitch=-45.0), [100.0, 0.0]),
            (Gimbal(yaw=180.0, pitch=-60.0), [0.0, -57.7]),
            # Rolled clockwise about a level view to the north, the picture's left edge rises.
            (Gimbal(yaw=0.0, pitch=-45.0, roll=90.0), [0.0, 100.0]),
        ],
    )
    def test_the_middle_of_the_picture_lies_where_the_gimbal_points(self, gimbal, place):
        assert seen(gimbal).points[0][24] == pytest.approx(place, abs=0.1)

    def test_sky_and_what_is_too_far_are_left_out(self):
        points = seen(Gimbal(yaw=0.0, pitch=-10.0)).points[0]
        distance = np.linalg.norm(points, axis=1)
        assert np.isnan(distance).any()
        assert np.nanmax(distance) <= 400.0

    def test_a_photo_of_the_sky_has_none_and_shares_none(self):
        prints = seen(Gimbal(yaw=0.0, pitch=60.0), east=5.0)
        assert np.isnan(prints.points).all()
        assert prints.centres[0] == pytest.approx([5.0, 0.0])
        assert shared((Gimbal(yaw=0.0, pitch=60.0), 0, 0, 100), (DOWN, 0, 0, 100)) == 0.0

    def test_without_gimbal_it_is_taken_to_look_down(self):
        assert seen(None).points == pytest.approx(seen(DOWN).points)


class TestShared:
    def test_the_same_view_shares_all(self):
        assert shared((DOWN, 0, 0, 100), (DOWN, 0, 0, 100)) == 1.0

    @pytest.mark.parametrize(("east", "north", "overlap"), [(80, 0, 0.5), (0, 60, 0.5), (80, 60, 0.25)])
    def test_it_falls_with_the_distance(self, east, north, overlap):
        assert shared((DOWN, 0, 0, 100), (DOWN, east, north, 100)) == pytest.approx(overlap, abs=0.11)

    def test_neighbours_that_look_away_from_each_other_share_nothing(self):
        north, south = Gimbal(yaw=0.0, pitch=-40.0), Gimbal(yaw=180.0, pitch=-40.0)
        assert shared((north, 0, 10, 100), (south, 0, -10, 100)) == 0.0

    def test_views_from_two_sides_share_the_place_between(self):
        north, south = Gimbal(yaw=0.0, pitch=-45.0), Gimbal(yaw=180.0, pitch=-45.0)
        assert shared((north, 0, -100, 100), (south, 0, 100, 100)) > 0.5

    def test_a_close_up_shares_less_with_the_whole_than_an_equal(self):
        assert 0.2 < shared((DOWN, 0, 0, 100), (DOWN, 0, 0, 30)) < 0.5


class TestHeights:
    def test_the_barometer_s_height_is_taken(self):
        assert heights_above_ground([photo(relative_altitude=80.0)]) == [80.0]

    def test_without_it_the_others_tell_where_the_ground_is(self):
        place = Position(lat=47.0, lon=8.0, alt=580.0)
        photos = [
            photo(relative_altitude=80.0, position=place),
            photo(position=place.model_copy(update={"alt": 600.0})),
        ]
        assert heights_above_ground(photos) == pytest.approx([80.0, 100.0])

    def test_without_any_or_near_the_ground_it_is_unknown(self):
        place = Position(lat=47.0, lon=8.0, alt=580.0)
        photos = [photo(position=place), photo(relative_altitude=1.0), photo(relative_altitude=-20.0)]
        assert np.isnan(heights_above_ground(photos)).all()


def sensed(survey: Survey) -> list[Photo]:
    """The photos of a demo flight as its drone's sensors, with their errors, tell of them."""
    rng = np.random.default_rng(0)
    origin = Position(lat=ORIGIN.latitude, lon=ORIGIN.longitude, alt=ORIGIN.altitude)
    photos = []
    for shot in survey.shots():
        angles = gimbal_angles(shot.rotation)
        yaw, pitch, roll = rng.normal([angles.yaw, angles.pitch, angles.roll], GIMBAL_SIGMA)
        photos.append(
            Photo(
                name=shot.name,
                source=shot.name,
                width=survey.width,
                height=survey.height,
                focal_px=shot.seen_by(survey.width, survey.height).focal,
                position=from_enu(shot.position + rng.normal(0.0, GPS_SIGMA, 3), origin),
                relative_altitude=shot.position[2] - TAKE_OFF_HEIGHT,
                gimbal=Gimbal(yaw=yaw, pitch=pitch, roll=roll),
            )
        )
    return photos


def truly_shared(first: Shot, second: Shot, survey: Survey) -> float:
    """Overlap by the true poses, on the land as high as it is on average."""

    def share(shot: Shot, other: Shot) -> float:
        camera, again = (each.seen_by(survey.width, survey.height) for each in (shot, other))
        steps = (np.arange(20) + 0.5) / 20 - 0.5
        grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) * [survey.width, survey.height]
        rays: NDArray[np.float64] = np.column_stack([grid / camera.focal, np.ones(400)]) @ shot.rotation
        ground = shot.position + rays * ((shot.position[2] - 10.0) / -rays[:, 2])[:, None]
        back = (ground - other.position) @ other.rotation.T
        pixels = again.focal * back[:, :2] / back[:, 2:]
        return float((np.abs(pixels) < [survey.width / 2, survey.height / 2]).all(axis=1).mean())

    return (share(first, second) * share(second, first)) ** 0.5


def test_of_the_demo_flight_the_pairs_that_truly_overlap_are_chosen():
    # Given the standard demo flight, nadir and oblique, and which of its photos share over half their ground
    survey = Survey()
    overlapping = {
        (first.name, second.name)
        for first, second in combinations(survey.shots(), 2)
        if truly_shared(first, second, survey) > 0.5
        # Seen from over 60 degrees apart, SIFT does not recognise it.
        and first.rotation[2] @ second.rotation[2] > 0.5
    }

    plan = plan_pairs(sensed(survey))

    assert plan.strategy is Pairing.SPATIAL
    assert len(overlapping) > 80
    assert len(overlapping & set(plan.pairs)) > 0.95 * len(overlapping)
    # and nearly none that share nothing
    shots = {shot.name: shot for shot in survey.shots()}
    useless = [pair for pair in plan.pairs if truly_shared(*(shots[name] for name in pair), survey) < 0.1]
    assert len(useless) < 0.05 * len(plan.pairs)
