"""Made-up cameras: upright, over the model, with all of it in the first and its detail in the others."""

import numpy as np

from spaceport_compressor.judging.orbit import OVERVIEWS, orbit_around
from spaceport_render.gaussians import Gaussians


def test_overviews_show_the_model_and_the_others_are_as_near_as_a_drone(make_gaussians):
    # Given a relief of 120 m x 120 m
    model = make_gaussians(2000)
    # When cameras are placed around it
    cameras = orbit_around(model, 480)
    # Then the first see all of it, and the others a part
    shares = [camera.sees(model.means).mean() for camera in cameras]
    assert min(shares[:OVERVIEWS]) > 0.95
    assert max(shares[OVERVIEWS:]) < 0.7
    assert min(shares[OVERVIEWS:]) > 0.02
    distances = [camera.position[2] for camera in cameras[OVERVIEWS:]]
    assert 15 < min(distances) <= max(distances) < 60


def test_each_looks_down_with_the_horizon_level(make_gaussians):
    for camera in orbit_around(make_gaussians(300), 480):
        rotation = camera.world_to_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) > 0
        right, down, forward = rotation
        assert abs(right[2]) < 1e-12
        assert down[2] < 0
        assert forward[2] < 0
        assert (camera.width, camera.height) == (480, 360)


def test_strays_and_haze_don_t_drive_the_cameras_away(make_gaussians):
    model = make_gaussians(2000)
    spoilt = model.select(np.arange(2000))
    spoilt.means[:20] = 1e5
    spoilt.means[20:600] *= 40
    spoilt.opacity_logits[20:600] = -6.0
    near = np.array([camera.position for camera in orbit_around(model, 480)])
    assert np.abs(np.array([camera.position for camera in orbit_around(spoilt, 480)]) - near).max() < 25


def test_a_lone_gaussian_is_seen():
    ones = np.ones((1, 3), np.float32)
    lone = Gaussians(7 * ones, np.ones((1, 4), np.float32), 0 * ones, ones[:, 0], ones[:, None])
    assert all(camera.sees(lone.means).all() for camera in orbit_around(lone, 480))
