"""The fit to GPS against transforms that are known: flat, in line, hovering, with outliers, by RTK."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.consensus import Fit, Measurements, fit_robustly
from spaceport_sfm.placement.georegistration import register_by_gps
from spaceport_sfm.placement.gps import Position, from_enu, to_enu
from spaceport_sfm.placement.similarity import Gravity, Similarity, refine, umeyama, uncertainty

ORIGIN = Position(lat=46.84, lon=-91.99, alt=150.0)
LEVEL = np.radians(2.0)


def rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def lawn(count: int = 18, height: float = 50.0) -> np.ndarray:
    """Positions of a lawnmower flight, (count, 3) metres: 6 across, 15 m apart."""
    index = np.arange(count)
    return np.stack([index % 6 * 15.0, index // 6 * 15.0, np.full(count, height)], axis=1).astype(float)


def line(count: int = 18) -> np.ndarray:
    """Positions of a corridor flown once, (count, 3) metres: 10 m apart."""
    along = np.arange(count) * 10.0
    return np.stack([0.6 * along, 0.8 * along, np.full(count, 50.0)], axis=1)


def in_own_frame(target: np.ndarray, seed: int = 3) -> tuple[np.ndarray, Similarity]:
    """`target` as SfM would see it, and the similarity that leads back."""
    truth = Similarity(8.5, rotation(seed), np.array([40.0, -20.0, 5.0]))
    return (target - truth.translation) @ truth.rotation / truth.scale, truth


def up_in_own_frame(truth: Similarity, off: float = 0.0) -> Gravity:
    """Gravity as the cameras would tell it, `off` degrees wrong."""
    tilt = np.radians(off)
    return Gravity(truth.rotation.T @ np.array([np.sin(tilt), 0.0, np.cos(tilt)]), LEVEL)


def measured(target: np.ndarray, sigma: float = 1.5, floor: float = 1.0) -> Measurements:
    return Measurements(target, np.full(target.shape, sigma), np.full(len(target), floor))


def worst(fit: Fit, source: np.ndarray, target: np.ndarray) -> float:
    """How far the fit puts a position from where it truly is, at most; metres."""
    return float(np.linalg.norm(fit.similarity.apply(source) - target, axis=1).max())


@pytest.mark.parametrize("height", [0.0, 5.0], ids=["one altitude", "varied altitude"])
def test_an_exact_transform_is_found(height):
    # Given positions, flat as of a drone that holds its altitude or not, seen in another frame
    target = lawn()
    target[:, 2] += height * np.sin(np.arange(len(target)))
    source, truth = in_own_frame(target)

    # When they are fitted
    found = umeyama(source, target)

    # Then scale, rotation (no reflection) and translation are the truth
    assert found.scale == pytest.approx(truth.scale)
    assert found.rotation == pytest.approx(truth.rotation, abs=1e-9)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    assert found.apply(source) == pytest.approx(target, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_least_squares_agrees_with_the_closed_form(seed):
    # Given noisy positions and a start that is off by 50° and twice the size
    target = lawn() + np.random.default_rng(seed).normal(0, 2.0, (18, 3))
    source, truth = in_own_frame(lawn())
    axis = np.random.default_rng(seed).normal(size=3)
    turn = Rotation.from_rotvec(np.radians(50) * axis / np.linalg.norm(axis)).as_matrix()
    start = Similarity(2 * truth.scale, turn @ truth.rotation, np.zeros(3))

    found = refine(start, source, target, np.full(target.shape, 2.0), None)

    closed = umeyama(source, target)
    assert found.scale == pytest.approx(closed.scale)
    assert found.rotation == pytest.approx(closed.rotation, abs=1e-8)
    assert found.translation == pytest.approx(closed.translation, abs=1e-6)


def test_the_told_uncertainty_is_that_of_many_flights():
    # Given the same flight a few hundred times with new noise
    target = lawn()
    source, truth = in_own_frame(target)
    random = np.random.default_rng(0)
    fits = [umeyama(source, target + random.normal(0, 1.0, target.shape)) for _ in range(400)]

    told = uncertainty(truth, source, np.full(target.shape, 1.0), None)

    turns = np.array([fit.rotation @ truth.rotation.T for fit in fits])
    assert told.scale == pytest.approx(np.std([fit.scale / truth.scale for fit in fits]), rel=0.15)
    assert told.heading == pytest.approx(np.std(turns[:, 1, 0]), rel=0.15)
    assert told.tilt == pytest.approx(max(np.std(turns[:, 2, 0]), np.std(turns[:, 2, 1])), rel=0.15)


def test_noise_moves_the_fit_by_less_than_itself():
    target = lawn(60)
    source, truth = in_own_frame(target)
    noisy = target + np.random.default_rng(0).normal(0, 1.0, target.shape)

    fit = fit_robustly(source, measured(noisy), None, seed=0)

    assert fit is not None
    assert worst(fit, source, target) < 1.0
    assert fit.similarity.scale == pytest.approx(truth.scale, rel=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_any_similarity_is_recovered_from_noise_and_outliers(seed):
    # Given any frame, 1 m of noise, up to 40 % of the positions wrong by 30 m and more, any way of gravity
    random = np.random.default_rng(seed)
    count = int(random.integers(12, 60))
    target = lawn(count) + random.normal(0, 4.0, (count, 3))
    source, truth = in_own_frame(target, seed)
    noisy = target + random.normal(0, 1.0, target.shape)
    wrong = random.choice(count, int(0.4 * count), replace=False)
    noisy[wrong] += rotation(seed)[0] * random.uniform(30, 3e6, (len(wrong), 1))

    fit = fit_robustly(source, measured(noisy), up_in_own_frame(truth, off=1.0), seed=0)

    # Then the fit is as good as the right ones allow, and none of the wrong ones is in it
    assert fit is not None
    assert not (fit.level & fit.height)[wrong].any()
    assert worst(fit, source, target) < 5.0 / np.sqrt(count - len(wrong)) + 1.0


def test_wrong_positions_are_left_out_and_don_t_pull():
    # Given 0.5 m of noise, and a third of the positions off by 30 m to a continent
    random = np.random.default_rng(1)
    target = lawn(18)
    source, _ = in_own_frame(target)
    noisy = target + random.normal(0, 0.5, target.shape)
    wrong = [1, 4, 8, 9, 13, 16]
    noisy[wrong] += 30 + random.normal(size=(6, 3)) * np.array([[30.0, 50.0, 200.0, 1e3, 1e5, 6e6]]).T

    # When they are fitted
    fit = fit_robustly(source, measured(noisy), None, seed=0)

    # Then exactly those are left out
    assert fit is not None
    assert np.flatnonzero(~fit.level).tolist() == wrong
    assert worst(fit, source, target) < 1.0


def test_altitudes_that_jump_with_the_battery_keep_their_east_and_north():
    # Given a flight whose second half has its altitudes 80 m too high
    target = lawn(24)
    source, truth = in_own_frame(target)
    noisy = target + np.random.default_rng(4).normal(0, 0.5, target.shape)
    noisy[12:, 2] += 80.0

    fit = fit_robustly(source, measured(noisy), up_in_own_frame(truth, off=1.0), seed=0)

    # Then all count for the place, one half for the height, and the scene is level
    assert fit is not None
    assert fit.level.all()
    assert fit.height.sum() == 12
    heights = fit.similarity.apply(source)[:, 2]
    assert np.ptp(heights) < 3.0
    assert abs(np.median(heights) - 50) < 1.5 or abs(np.median(heights) - 130) < 1.5


def test_a_single_line_takes_its_roll_from_the_cameras():
    # Given one strip with GPS noise, and cameras that know up to a degree
    target = line()
    source, truth = in_own_frame(target)
    noisy = target + np.random.default_rng(2).normal(0, 0.5, target.shape)

    fit = fit_robustly(source, measured(noisy), up_in_own_frame(truth, off=1.0), seed=0)

    # Then it is placed, with scale and north by GPS and the roll by the cameras, and says so
    assert fit is not None
    assert fit.up_is_gravity
    assert worst(fit, source, target) < 1.0
    assert fit.similarity.scale == pytest.approx(truth.scale, rel=0.01)
    up = fit.similarity.rotation @ truth.rotation.T[:, 2]
    assert np.degrees(np.arccos(up[2])) < 2.0


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_single_line_without_gravity_says_too_little(noise):
    target = line()
    source, _ = in_own_frame(target)
    noisy = target + np.random.default_rng(2).normal(0, noise, target.shape)

    assert fit_robustly(source, measured(noisy), None, seed=0) is None


def test_positions_all_within_the_gps_error_say_too_little():
    target = lawn() / 30.0
    source, truth = in_own_frame(target)
    noisy = target + np.random.default_rng(3).normal(0, 3.0, target.shape)

    assert fit_robustly(source, measured(noisy), up_in_own_frame(truth), seed=0) is None


def test_positions_that_are_all_the_same_say_too_little():
    source, truth = in_own_frame(lawn())

    same = np.full((18, 3), 7.0)
    assert fit_robustly(source, measured(same), up_in_own_frame(truth), seed=0) is None
    assert fit_robustly(np.zeros((18, 3)), measured(lawn()), up_in_own_frame(truth), seed=0) is None


def test_photos_in_bursts_at_one_place_are_no_harm():
    # Given a flight that stopped for nine photos at one of its places
    target = np.concatenate([lawn(18), np.repeat(lawn(18)[7:8], 9, axis=0)])
    source, _ = in_own_frame(target)
    noisy = target + np.random.default_rng(5).normal(0, 0.5, target.shape)

    fit = fit_robustly(source, measured(noisy), None, seed=0)

    assert fit is not None
    assert worst(fit, source, target) < 1.0


def test_cameras_held_askew_don_t_tilt_what_gps_knows():
    # Given a wide flight with good GPS, and cameras that were all held 30° off
    target = lawn(36)
    source, truth = in_own_frame(target)
    noisy = target + np.random.default_rng(6).normal(0, 0.5, target.shape)

    fit = fit_robustly(source, measured(noisy), up_in_own_frame(truth, off=30.0), seed=0)

    assert fit is not None
    assert fit.askew is not None
    assert np.degrees(fit.askew) == pytest.approx(30.0, abs=2.0)
    assert worst(fit, source, target) < 1.0


def shots(places: np.ndarray, **fields: object) -> tuple[dict[str, np.ndarray], list[Photo], Similarity]:
    """Centres in SfM's frame and photos with exact GPS, of a flight through `places`."""
    seen, truth = in_own_frame(places)
    photos = [
        Photo(
            name=f"{index:04}.jpg",
            source=f"DJI_{index:04}.JPG",
            width=640,
            height=480,
            position=from_enu(place, ORIGIN),
            **fields,
        )
        for index, place in enumerate(places)
    ]
    return {photo.name: centre for photo, centre in zip(photos, seen, strict=True)}, photos, truth


def moved(photo: Photo, by: np.ndarray) -> Photo:
    assert photo.position is not None
    return photo.model_copy(update={"position": from_enu(to_enu([photo.position], ORIGIN)[0] + by, ORIGIN)})


def test_gps_leads_from_a_photo_to_where_it_is_on_earth():
    centres, photos, _ = shots(lawn())

    found = register_by_gps(centres, photos, None, seed=0)

    assert found is not None
    for photo in photos:
        there = found.fit.similarity.apply(centres[photo.name][None])[0]
        assert to_enu([from_enu(there, found.origin)], photo.position)[0] == pytest.approx(
            np.zeros(3), abs=1e-5
        )
    assert found.rms(found.fit.similarity) == pytest.approx((0.0, 0.0), abs=1e-5)


def test_a_photo_from_the_ocean_is_named():
    centres, photos, _ = shots(lawn())
    photos[7] = photos[7].model_copy(update={"position": Position(lat=10.0, lon=-30.0, alt=10.0)})

    found = register_by_gps(centres, photos, None, seed=0)

    assert found is not None
    assert found.positions_rejected == ["0007.jpg"]
    assert found.altitudes_rejected == []


def test_a_good_rtk_fix_outweighs_poor_ones_and_a_lost_one_is_found():
    # Given an RTK flight: most fixes to 2 cm, six without a fix 2 m off and saying so, one lying by 0.7 m
    random = np.random.default_rng(8)
    places = lawn(30)
    centres, photos, _ = shots(places, position_sigma=(0.02, 0.03))
    for index, photo in enumerate(photos):
        photos[index] = moved(photo, random.normal(0, 0.02, 3))
    for index in range(6):
        photos[index] = moved(photos[index], random.normal(0, 2.0, 3)).model_copy(
            update={"position_sigma": (2.0, 3.0)}
        )
    photos[20] = moved(photos[20], np.array([0.5, 0.5, 0.0]))

    found = register_by_gps(centres, photos, None, seed=0)

    # Then the model lies right to centimetres
    assert found is not None
    assert found.positions_rejected == ["0020.jpg"]
    placed = found.fit.similarity.apply(np.array([centres[photo.name] for photo in photos]))
    true = to_enu([from_enu(place, ORIGIN) for place in places], found.origin)
    assert np.linalg.norm(placed - true, axis=1).max() < 0.05


def test_photos_without_altitude_still_tell_where_they_are():
    centres, photos, _ = shots(lawn() + [[0, 0, 3.0 * (index % 2)] for index in range(18)])
    for index in range(0, 9):
        place = photos[index].position
        assert place is not None
        photos[index] = photos[index].model_copy(update={"position": Position(lat=place.lat, lon=place.lon)})

    found = register_by_gps(centres, photos, None, seed=0)

    assert found is not None
    assert found.fit.level.all()
    assert found.fit.height.sum() == 9
    assert found.altitudes_rejected == []
    assert found.rms(found.fit.similarity) == pytest.approx((0.0, 0.0), abs=0.01)


def test_a_flight_without_any_altitude_is_taken_for_level():
    centres, photos, _ = shots(lawn())
    photos = [
        photo.model_copy(update={"position": Position(lat=photo.position.lat, lon=photo.position.lon)})
        for photo in photos
        if photo.position is not None
    ]

    found = register_by_gps(centres, photos, None, seed=0)

    assert found is not None
    heights = found.fit.similarity.apply(np.array(list(centres.values())))[:, 2]
    assert np.ptp(heights) < 0.1


@pytest.mark.parametrize("located", [0, 2])
def test_fewer_than_three_positions_give_none(located):
    centres, photos, truth = shots(lawn())
    photos[located:] = [photo.model_copy(update={"position": None}) for photo in photos[located:]]

    assert register_by_gps(centres, photos, up_in_own_frame(truth), seed=0) is None


@pytest.mark.parametrize("count", [3, 4, 7, 20, 200])
def test_the_place_is_as_good_as_the_noise_allows(count):
    # Given 1.5 m of noise on each axis: the bound that the targets set, over many flights
    random = np.random.default_rng(count)
    target = (
        lawn(count) if count > 6 else np.array([[0, 0, 50], [60, 0, 50], [0, 60, 60], [60, 60, 40.0]])[:count]
    )
    source, truth = in_own_frame(target)
    errors = []
    for _ in range(20):
        noisy = target + random.normal(0, 1.5, target.shape)
        fit = fit_robustly(source, measured(noisy), up_in_own_frame(truth, off=0.5), seed=0)
        assert fit is not None
        errors.append(np.sqrt(((fit.similarity.apply(source) - target) ** 2).sum(axis=1).mean()))
    assert max(errors) <= 2 * 1.5 * np.sqrt(7 / count)
