"""The directions in which a flight saw the model, and the harmonics there."""

import numpy as np
import pytest

from spaceport_compressor.sog.viewing import CONSTANT, harmonics, viewing_of
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.render import render


def looking_down(east, north, up=60.0):
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (east, north, up)
    return Camera(f"{east} {north}", 96, 64, 60.0, 60.0, 48.0, 32.0, world_to_camera)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_harmonics_are_those_of_the_renderer(degree):
    # Given one large, solid Gaussian with random harmonics, off the camera's axis
    rng = np.random.default_rng(degree)
    sh = rng.normal(0, 0.05, (1, (degree + 1) ** 2, 3)).astype(np.float32)
    mean = np.array([[4.0, -3.0, 1.0]], np.float32)
    one = np.ones((1, 3), np.float32)
    splat = Gaussians(mean, np.array([[1, 0, 0, 0]], np.float32), 2 * one, np.array([9.0], np.float32), sh)
    camera = looking_down(0, 0, 30)
    # When the renderer draws it
    x, y, depth = camera.world_to_camera[:3] @ [*mean[0], 1]
    picture = render(splat, camera)
    drawn = picture[int(60 * y / depth + 32), int(60 * x / depth + 48)]
    # Then its colour is the sum that our harmonics give
    direction = mean - camera.position
    basis = harmonics(direction / np.linalg.norm(direction), degree)
    assert drawn == pytest.approx(0.5 + CONSTANT * sh[0, 0] + basis[0] @ sh[0, 1:], abs=0.003)


def test_the_harmonics_are_orthonormal():
    directions = np.random.default_rng(0).normal(size=(200_000, 3))
    values = harmonics(directions / np.linalg.norm(directions, axis=1, keepdims=True), 3)
    assert 4 * np.pi * values.T @ values / len(values) == pytest.approx(np.eye(15), abs=0.02)


def test_means_are_over_the_photos_that_saw_the_gaussian(make_gaussians):
    model = make_gaussians(400)
    cameras = [looking_down(-40, 0), looking_down(40, 0)]
    means = viewing_of(model, cameras, np.ones(400)).means
    sees = np.stack([camera.sees(model.means) for camera in cameras])
    # Who was seen once has that photo's direction, who was never seen has none
    once = np.flatnonzero(sees[0] & ~sees[1])[0]
    direction = model.means[once] - cameras[0].position
    assert means[once] == pytest.approx(
        harmonics(direction[None] / np.linalg.norm(direction), 3)[0], abs=1e-5
    )
    assert not means[~sees.any(axis=0)].any()


def test_the_metric_forgives_what_a_constant_makes_good(make_gaussians):
    # Given a flight that looks straight down on land far below
    model = make_gaussians(400)
    cameras = [looking_down(east, north, up=400) for east in (-30, 30) for north in (-30, 30)]
    metric = viewing_of(model, cameras, np.ones(400)).metric
    # Then the harmonic that is constant there (z) counts far less than those that change sign (x, y)
    y, z, x = np.diag(metric)[:3]
    assert z < 0.25 * min(x, y)
    assert (np.linalg.eigvalsh(metric) > 0).all()


def test_without_cameras_all_directions_count_alike(make_gaussians):
    viewing = viewing_of(make_gaussians(50), [], np.ones(50))
    assert viewing.metric.tolist() == np.eye(15).tolist()
    assert not viewing.means.any()
