"""The measures of bench/sfm.py: each error is seen by its own number, and by no other."""

import numpy as np
import pytest
from pose_errors import angles_deg, expected_absolute_m, pose_errors
from scipy.spatial.transform import Rotation

rng = np.random.default_rng(0)
CENTRES = rng.normal(0, [40, 40, 5], (30, 3))
ROTATIONS = Rotation.random(30, random_state=0).as_matrix()


def test_the_truth_has_no_error():
    errors = pose_errors(CENTRES, ROTATIONS, CENTRES, ROTATIONS)
    assert max(errors.shape_m, errors.rotation_deg, errors.worst_rotation_deg, errors.absolute_m) < 1e-6
    assert errors.tilt_deg < 1e-6
    assert errors.scale == pytest.approx(0, abs=1e-12)


def test_another_frame_is_no_error_of_shape():
    # Given a model that is right but for its frame: 2 m off, 1 % too small, turned by 3°
    turn = Rotation.from_rotvec([0, 0, np.radians(3)]).as_matrix()
    centres = (CENTRES @ turn.T) / 1.01 + (2, 0, 0)
    errors = pose_errors(centres, ROTATIONS @ turn.T, CENTRES, ROTATIONS)
    # Then that alone is told
    assert errors.shape_m < 1e-6
    assert errors.rotation_deg < 1e-6
    assert errors.tilt_deg == pytest.approx(3)
    assert errors.scale == pytest.approx(0.01)
    assert errors.absolute_m == pytest.approx(np.sqrt(((centres - CENTRES) ** 2).sum(1).mean()))


def test_a_turned_camera_is_an_error_of_rotation_alone():
    rotations = ROTATIONS.copy()
    rotations[4] = Rotation.from_rotvec([0, np.radians(0.6), 0]).as_matrix() @ rotations[4]
    errors = pose_errors(CENTRES, rotations, CENTRES, ROTATIONS)
    assert errors.worst_rotation_deg == pytest.approx(0.6)
    assert errors.rotation_deg == pytest.approx(0.6 / np.sqrt(30))
    assert errors.shape_m < 1e-6


def test_a_bent_flight_is_an_error_of_shape():
    bent = CENTRES + np.array([0, 0, 1]) * 0.001 * CENTRES[:, :1] ** 2
    assert pose_errors(bent, ROTATIONS, CENTRES, ROTATIONS).shape_m > 0.3


@pytest.mark.parametrize("degrees", [1e-4, 0.3, 90.0, 180.0])
def test_angles_are_exact_small_and_large(degrees):
    turn = Rotation.from_rotvec([np.radians(degrees), 0, 0]).as_matrix()
    assert angles_deg(turn[None], np.eye(3)[None]) == pytest.approx([degrees])


def test_gps_noise_leaves_what_the_formula_says():
    # Given flights whose GPS has noise, laid on it by the best similarity
    from spaceport_sfm.placement.similarity import umeyama

    noisy = [CENTRES + rng.normal(0, 1.5, CENTRES.shape) for _ in range(200)]
    squares = [((umeyama(CENTRES, gps).apply(CENTRES) - CENTRES) ** 2).sum(1).mean() for gps in noisy]
    # Then their error is what the bench expects
    assert np.sqrt(np.mean(squares)) == pytest.approx(expected_absolute_m(1.5, 30), rel=0.05)


def test_a_place_is_the_same_in_another_frame():
    # Given a point 300 m east and 20 m up of an origin
    from sfm import between_frames

    from spaceport_sfm.placement.gps import Position, from_enu, to_enu

    here, there = Position(lat=46.86, lon=8.22, alt=469.0), Position(lat=46.87, lon=8.21, alt=400.0)
    crs = [
        f"+proj=topocentric +ellps=WGS84 +lat_0={place.lat} +lon_0={place.lon} +h_0={place.alt}"
        for place in (here, there)
    ]
    point = np.array([[300.0, 0.0, 20.0]])
    # Then PROJ and our own formulas see it at the same place from another
    expected = to_enu([from_enu(point[0], here)], there)
    assert between_frames(point, *crs) == pytest.approx(expected, abs=1e-4)
