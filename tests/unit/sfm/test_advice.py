"""Capture advice: what is wrong is told with its numbers and names, and a good flight is left alone."""

from dataclasses import replace

import numpy as np
import pytest

from spaceport.quality import Lens, PhotoWarning
from spaceport_sfm.advice.capture_advice import Flight, capture_advice
from spaceport_sfm.advice.coverage import Coverage, PhotoCoverage
from spaceport_sfm.advice.unplaced import Cause, causes, hovering, sites, too_few_registered
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gps import Position, from_enu

HOME = Position(lat=46.86, lon=8.22, alt=469.0)


def photo(number, east=0.0, north=0.0, **fields):
    place = from_enu(np.array([east, north, 60.0]), HOME)
    made = {"name": f"{number:04}.jpg", "source": f"DJI_{number}.JPG", "width": 1600, "height": 1200}
    return Photo(**made | {"position": place, "brightness": 118.0} | fields)


def flight(count=12, east=0.0, first=1):
    """Photos along two lines, 15 m apart."""
    return [photo(first + i, east + 15.0 * (i // 2), 20.0 * (i % 2)) for i in range(count)]


def blurred(*photos):
    return [PhotoWarning(name=p.source, code="blurred", reason="is blurred") for p in photos]


@pytest.fixture
def good():
    """A flight that nothing is wrong with: well matched, some obliques, GPS."""
    photos = flight()
    seen = [
        PhotoCoverage(name=p.name, off_nadir_deg=2.0 if i < 9 else 40.0, points=800, shared=300)
        for i, p in enumerate(photos)
    ]
    lens = Lens(camera="DJI FC330", photos=12, focal_px=1110, focal_prior_px=1109, focal_sigma_px=1.0)
    return Flight(
        photos=photos, warned=[], registered=[p.name for p in photos], others=[], mean_track=4.5,
        coverage=Coverage(photos=seen, ray_angle_deg=30.0), lenses=[lens],
    )  # fmt: skip


def covered(flight, **fields):
    """`capture` whose first photo is covered so."""
    first, *others = flight.coverage.photos
    photos = [first.model_copy(update=fields), *others]
    return replace(flight, coverage=flight.coverage.model_copy(update={"photos": photos}))


def codes(flight):
    return [advice.code for advice in capture_advice(flight)]


def only(flight):
    (advice,) = capture_advice(flight)
    return advice


def test_a_good_flight_gets_none(good):
    assert capture_advice(good) == []


def test_photos_left_over_are_named_with_what_is_wrong_with_them(good):
    # Given four photos without a place: one blurred, one black, one of elsewhere, one that looks good
    soft, black, far, fine = (
        photo(20, 30), photo(21, 45, brightness=9.0), photo(22, 2000), photo(23, 60),
    )  # fmt: skip
    left = replace(good, photos=[*good.photos, soft, black, far, fine], warned=blurred(soft))
    # Then each is told as it is
    advice = only(left)
    assert advice.code == "photos_left_over"
    for words in (
        "4 of 16 photos", "DJI_20.JPG is blurred", "DJI_21.JPG is nearly black",
        "DJI_22.JPG was taken elsewhere, by its GPS", "DJI_23.JPG shows too little sharp detail that another",
    ):  # fmt: skip
        assert words in advice.message


def test_the_hint_is_for_the_commonest_cause(good):
    left = [photo(20, 30), photo(21, 45), photo(22, 60)]
    several = replace(good, photos=[*good.photos, *left], warned=blurred(*left[:2]))
    assert "Fly slower" in only(several).hint


def test_two_places_and_a_gap_are_told_apart(good):
    # Given five photos that make a model of their own, 1 km away by GPS
    away = flight(5, east=1000, first=20)
    names = [p.name for p in away]
    apart = replace(good, photos=[*good.photos, *away], others=[names])
    assert codes(apart) == ["several_sites"]
    # or right beside
    beside = flight(5, east=110, first=20)
    advice = only(replace(good, photos=[*good.photos, *beside], others=[names]))
    assert advice.code == "disjoint_models"
    assert "5 (DJI_20.JPG, DJI_21.JPG" in advice.message
    assert "gap" in advice.hint


def test_thin_overlap_is_told_with_its_number(good):
    advice = only(replace(good, mean_track=3.1))
    assert advice.code == "weak_overlap"
    assert "in 3.1 photos on average" in advice.message


def test_a_photo_that_hangs_by_few_points_is_named(good):
    advice = only(covered(good, shared=12))
    assert advice.code == "weak_overlap"
    assert "DJI_1.JPG hangs on by fewer than 25 points" in advice.message


def test_a_flight_on_the_spot_says_that_distances_are_uncertain(good):
    coverage = good.coverage.model_copy(update={"ray_angle_deg": 1.23})
    advice = only(replace(good, coverage=coverage))
    assert advice.code == "small_baseline"
    assert "1.2°" in advice.message
    still = [p.model_copy(update={"position": HOME}) for p in good.photos]
    assert "within 3 m of one place" in only(replace(good, photos=still)).message


def test_few_photos_are_told(good):
    few = replace(good, photos=good.photos[:6], registered=good.registered[:6])
    assert only(few).code == "few_photos"


def test_single_blurred_photos_are_no_advice_but_many_are(good):
    assert codes(replace(good, warned=blurred(good.photos[0]))) == []
    assert "2 of 12 photos are blurred" in only(replace(good, warned=blurred(*good.photos[:2]))).message


@pytest.mark.parametrize(
    ("levels", "code"),
    [([20.0] * 3 + [100.0] * 9, "dark"), ([240.0] * 12, "bright"), ([60.0, 140.0] * 6, "exposure_varies")],
)
def test_exposure_is_told(good, levels, code):
    lit = [p.model_copy(update={"brightness": level}) for p, level in zip(good.photos, levels, strict=True)]
    assert only(replace(good, photos=lit)).code == code


def test_nadir_flights_hear_how_uncertain_heights_are(good):
    # Given a flight whose photos all look straight down
    flat = [p.model_copy(update={"off_nadir_deg": 3.0}) for p in good.coverage.photos]
    nadir = replace(good, coverage=good.coverage.model_copy(update={"photos": flat}))
    # Then walls are missing, and heights are spoken of only where the focal length is uncertain
    assert only(nadir).message == "All photos look straight down (within 3°): walls were not seen."
    lens = good.lenses[0].model_copy(update={"focal_sigma_px": 11.1})
    assert "heights are uncertain by 1 %" in only(replace(nadir, lenses=[lens])).message


def test_long_lists_are_cut(good):
    left = [photo(30 + i, 15.0 * i) for i in range(8)]
    assert "and 3 more" in only(replace(good, photos=[*good.photos, *left])).message


def test_too_few_says_that_the_drone_hovered():
    spot = [photo(i, 0.5 * (i % 3), 0.4 * (i % 2)) for i in range(8)]
    assert hovering(spot)
    error = too_few_registered(spot, [], [])
    assert error.code == "too_few_registered"
    assert "0 of 8" in error.message
    assert "within 3 m of one place" in error.message
    assert not hovering(flight())
    assert not hovering([p.model_copy(update={"position": None}) for p in spot])


def test_too_few_names_the_places():
    both = [*flight(6), *flight(5, east=900, first=20)]
    assert [len(site) for site in sites(both)] == [6, 5]
    message = too_few_registered(both, ["0001.jpg"] * 3, []).message
    assert "2 places over 100 m apart, with 6 (DJI_1.JPG, DJI_2.JPG...) and 5 (DJI_20.JPG" in message


def test_too_few_names_the_blurred():
    photos = flight(6)
    error = too_few_registered(photos, [], blurred(*photos))
    assert "are blurred" in error.message
    assert "Fly slower" in error.hint


def test_photos_far_apart_are_no_places_of_their_own_where_all_are():
    wide = [photo(i, 150.0 * (i // 3), 150.0 * (i % 3)) for i in range(9)]
    assert len(sites(wide)) == 1


def test_photos_without_gps_are_not_elsewhere():
    (cause,) = causes(
        [photo(1, position=None), *flight(4, first=2)], [f"000{i}.jpg" for i in range(2, 6)], []
    )
    assert cause is Cause.OVERLAP
