"""The fit to GPS against transforms that are known."""

from __future__ import annotations

import numpy as np
import pytest

from spaceport_sfm.georegistration import Similarity, fit_robustly, georeference, umeyama
from spaceport_sfm.gps import Position, from_enu, to_enu

ORIGIN = Position(lat=46.84, lon=-91.99, alt=150.0)


def rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def lawn(count: int = 18, height: float = 50.0) -> np.ndarray:
    """Positions of a lawnmower flight, (count, 3) metres: 6 across, 15 m apart."""
    index = np.arange(count)
    return np.stack([index % 6 * 15.0, index // 6 * 15.0, np.full(count, height)], axis=1).astype(float)


def in_own_frame(target: np.ndarray, seed: int = 3) -> tuple[np.ndarray, Similarity]:
    """`target` as SfM would see it, and the similarity that leads back."""
    truth = Similarity(8.5, rotation(seed), np.array([40.0, -20.0, 5.0]))
    return (target - truth.translation) @ truth.rotation / truth.scale, truth


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


def test_noise_moves_the_fit_by_less_than_itself():
    target = lawn(60)
    source, truth = in_own_frame(target)
    noisy = target + np.random.default_rng(0).normal(0, 1.0, target.shape)

    fitted = fit_robustly(source, noisy, seed=0)

    assert fitted is not None
    assert np.linalg.norm(fitted[0].apply(source) - target, axis=1).max() < 1.0
    assert fitted[0].scale == pytest.approx(truth.scale, rel=0.01)


def test_wrong_positions_are_left_out_and_don_t_pull():
    # Given 0.5 m of noise, and a third of the positions off by 30 m to a continent
    random = np.random.default_rng(1)
    target = lawn(18)
    source, _ = in_own_frame(target)
    measured = target + random.normal(0, 0.5, target.shape)
    wrong = [1, 4, 8, 9, 13, 16]
    measured[wrong] += 30 + random.normal(size=(6, 3)) * np.array([[30.0, 50.0, 200.0, 1e3, 1e5, 6e6]]).T

    # When they are fitted
    fitted = fit_robustly(source, measured, seed=0)

    # Then exactly those are left out
    assert fitted is not None
    similarity, used = fitted
    assert np.flatnonzero(~used).tolist() == wrong
    assert np.linalg.norm(similarity.apply(source) - target, axis=1).max() < 1.0


def test_a_single_straight_line_says_too_little():
    # Given one strip with GPS noise: nothing tells the roll about its line
    target = np.stack([np.arange(18) * 10.0, np.zeros(18), np.full(18, 50.0)], axis=1)
    source, _ = in_own_frame(target)
    noisy = target + np.random.default_rng(2).normal(0, 0.5, target.shape)

    assert fit_robustly(source, target, seed=0) is None
    assert fit_robustly(source, noisy, seed=0) is None


def test_positions_all_within_the_gps_error_say_too_little():
    target = lawn() / 30.0
    source, _ = in_own_frame(target)
    noisy = target + np.random.default_rng(3).normal(0, 3.0, target.shape)

    assert fit_robustly(source, noisy, seed=0) is None


def centres_and_positions(count: int) -> tuple[dict[str, np.ndarray], dict[str, Position], np.ndarray]:
    """A flight of `count` photos 50 m above a flat field of points: centres, GPS, points in SfM's frame."""
    flight = lawn(count)
    field = np.stack([*np.meshgrid(np.linspace(0, 75, 9), np.linspace(0, 30, 5)), np.zeros((5, 9))], -1)
    seen, _ = in_own_frame(np.concatenate([flight, field.reshape(-1, 3)]))
    names = [f"{index:04}.jpg" for index in range(count)]
    positions = {name: from_enu(place, ORIGIN) for name, place in zip(names, flight, strict=True)}
    return dict(zip(names, seen[:count], strict=True)), positions, seen[count:]


def test_the_scene_is_in_metres_upright_and_about_its_own_middle():
    centres, positions, points = centres_and_positions(18)

    georef = georeference(centres, positions, points, seed=0)

    assert georef is not None
    # Then the middle of the points is zero, cameras are 50 m above, the altitude of zero is the field's
    placed = georef.similarity.apply(points)
    assert np.median(placed, axis=0) == pytest.approx([0, 0, 0], abs=1e-6)
    heights = georef.similarity.apply(np.array(list(centres.values())))[:, 2]
    assert heights == pytest.approx(np.full(18, 50.0), abs=0.01)
    assert georef.origin.alt == pytest.approx(150.0, abs=0.01)
    # And the georeference leads from a point back to where it is on Earth
    origin = Position(lat=georef.origin.lat, lon=georef.origin.lon, alt=georef.origin.alt)
    first = to_enu([positions["0000.jpg"]], origin)[0]
    assert georef.similarity.apply(centres["0000.jpg"][None])[0] == pytest.approx(first, abs=1e-5)
    assert georef.rms_horizontal_m < 1e-5
    assert f"+lat_0={georef.origin.lat:.9f}" in georef.crs


def test_a_photo_from_elsewhere_is_named():
    centres, positions, points = centres_and_positions(18)
    positions["0007.jpg"] = Position(lat=10.0, lon=10.0, alt=10.0)

    georef = georeference(centres, positions, points, seed=0)

    assert georef is not None
    assert georef.positions_rejected == ["0007.jpg"]
    assert georef.positions_used == 17


def test_a_model_without_a_point_has_its_zero_among_the_cameras():
    # Given photos that were placed, but no point good enough to stay
    centres, positions, _ = centres_and_positions(18)

    georef = georeference(centres, positions, np.empty((0, 3)), seed=0)

    assert georef is not None
    placed = georef.similarity.apply(np.array(list(centres.values())))
    assert np.median(placed, axis=0) == pytest.approx([0, 0, 0], abs=1e-6)


@pytest.mark.parametrize("located", [0, 2])
def test_fewer_than_three_positions_give_none(located):
    centres, positions, points = centres_and_positions(18)

    assert georeference(centres, dict(list(positions.items())[:located]), points, seed=0) is None
