"""The directions in which a flight saw the model, and the harmonics there."""

from dataclasses import fields, replace

import numpy as np
import pytest

from spaceport_compressor.sog import viewing
from spaceport_compressor.sog.axes import nearest_axes
from spaceport_compressor.sog.viewing import CONSTANT, harmonics, viewing_from
from spaceport_render.camera import Camera
from spaceport_render.gaussians import AntialiasedGaussians, Gaussians
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


def test_means_are_over_the_photos_that_show_the_gaussian(make_gaussians):
    model = make_gaussians(400)
    cameras = [looking_down(-40, 0), looking_down(40, 0)]
    seen = viewing_from(model, cameras)
    shown = np.stack([viewing_from(model, [camera]).sensitivity.colors > 0 for camera in cameras])
    # Who shows in one photo has its direction, who shows in none has none
    once = np.flatnonzero(shown[0] & ~shown[1])[0]
    direction = model.means[once] - cameras[0].position
    expected = harmonics(direction[None] / np.linalg.norm(direction), 3)[0]
    assert seen.means[once] == pytest.approx(expected, abs=1e-5)
    assert not seen.means[~shown.any(axis=0)].any()


def test_pictures_in_bands_tell_the_same(make_gaussians, monkeypatch):
    # Given a flight over a model
    model = make_gaussians(3000)
    cameras = [looking_down(east, north) for east in (-30, 0, 30) for north in (-30, 30)]
    whole = viewing_from(model, cameras)
    # When its pictures are gone through in three bands each, as those of large models
    monkeypatch.setattr(viewing, "AT_ONCE", 1000)
    bands = viewing_from(model, cameras)
    # Then what lies in one band shows as it did, and in sum so does the rest
    for field in ("means", "quats", "log_scales", "opacities", "colors"):
        before, after = getattr(whole.sensitivity, field), getattr(bands.sensitivity, field)
        assert np.isclose(before, after, rtol=1e-3).mean() > 0.6
        assert after.sum() == pytest.approx(before.sum(), rel=0.1)
    assert bands.metric == pytest.approx(whole.metric, rel=0.1, abs=0.02 * whole.metric.max())


def test_what_is_drawn_antialiased_is_looked_at_so(make_gaussians):
    # Given Gaussians that are smaller than a pixel, which the 2D filter makes fainter
    model = make_gaussians(400)
    model = replace(model, log_scales=np.full_like(model.log_scales, np.log(0.1)))
    antialiased = AntialiasedGaussians(*(getattr(model, field.name) for field in fields(model)))
    # When a flight looks at them
    usual, filtered = (
        viewing_from(each, [looking_down(0, 0)]).sensitivity.colors for each in (model, antialiased)
    )
    # Then what they are coloured matters by the square of what is left of them
    assert 0 < filtered.sum() < 0.1 * usual.sum()


def test_the_metric_forgives_what_a_constant_makes_good(make_gaussians):
    # Given a flight that looks straight down on land far below
    cameras = [looking_down(east, north, up=400) for east in (-30, 30) for north in (-30, 30)]
    metric = viewing_from(make_gaussians(400), cameras).metric
    # Then the harmonic that is constant there (z) counts far less than those that change sign (x, y)
    y, z, x = np.diag(metric)[:3]
    assert z < 0.25 * min(x, y)
    assert (np.linalg.eigvalsh(metric) > 0).all()


@pytest.mark.parametrize("east", [[0], [0, 0], [0, 0.01]])
def test_photos_from_one_place_tell_nothing_of_directions(make_gaussians, east):
    # Given photos between which hardly a direction changes: what does is rounding
    cameras = [looking_down(each, 0) for each in east]
    # When they tell how much each direction matters, then all count alike
    for count in (400, 2000):
        assert viewing_from(make_gaussians(count), cameras).metric == pytest.approx(np.eye(15))


def test_without_cameras_all_directions_count_alike(make_gaussians):
    blind = viewing_from(make_gaussians(50), [])
    assert blind.metric.tolist() == np.eye(15).tolist()
    assert not blind.means.any()
    assert blind.sensitivity is None


@pytest.mark.parametrize(
    ("field", "size"), [("log_scales", 0.02), ("opacities", 0.01), ("colors", 0.02), ("quats", 0.01)]
)
def test_what_an_error_does_to_the_pictures_is_foretold(make_gaussians, field, size):
    # Given a flight over a model, whose axes are told the shortest way
    model = make_gaussians(3000)
    quats, log_scales = nearest_axes(model.quats, model.log_scales)
    model = replace(model, quats=quats / np.linalg.norm(quats, axis=1, keepdims=True), log_scales=log_scales)
    cameras = [looking_down(east, north) for east in (-40, -20, 0, 20, 40) for north in (-30, 0, 30)]
    weights = getattr(viewing_from(model, cameras).sensitivity, field)
    # When one attribute is off by random errors
    rng = np.random.default_rng(1)
    if field == "colors":
        errors = rng.normal(0, size, (3000, 3)).astype(np.float32)
        off = replace(model, sh=np.concatenate([model.sh[:, :1] + errors[:, None], model.sh[:, 1:]], axis=1))
        expected = (weights[:, None] * errors**2).sum()
    elif field == "opacities":
        opacities = model.opacities.clip(0.05, 0.95)
        errors = rng.normal(0, size, 3000)
        moved = opacities + errors
        model = replace(model, opacity_logits=np.log(opacities / (1 - opacities)).astype(np.float32))
        off = replace(model, opacity_logits=np.log(moved / (1 - moved)).astype(np.float32))
        weights = viewing_from(model, cameras).sensitivity.opacities
        expected = (weights * errors**2).sum()
    elif field == "quats":
        # One kept component of each, the largest making up for it
        largest = np.abs(model.quats).argmax(axis=1)
        rows, kept = np.arange(3000), (largest + 1) % 4
        errors = rng.normal(0, size, 3000)
        moved = model.quats.astype(np.float64)
        sign = np.sign(moved[rows, largest])
        moved[rows, kept] += errors
        others = (moved**2).sum(axis=1) - moved[rows, largest] ** 2
        moved[rows, largest] = sign * np.sqrt(1 - others)
        off = replace(model, quats=moved.astype(np.float32))
        expected = (weights[rows, kept] * errors**2).sum()
    else:
        errors = rng.normal(0, size, (3000, 3)).astype(np.float32)
        off = replace(model, log_scales=model.log_scales + errors)
        expected = (weights * errors**2).sum()
    seen = np.mean([((render(model, c) - render(off, c)) ** 2).mean() for c in cameras])
    # Then the pictures are off by what was foretold, to a decibel and a half
    assert 10 * abs(np.log10(seen / expected)) < 1.5
