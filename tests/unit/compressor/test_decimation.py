"""Coarser copies of a model: half the Gaussians, from afar the same picture."""

from dataclasses import fields, replace

import numpy as np
import pytest

from spaceport_compressor.lod.decimation import LEAST_VISIBLE, levels_of_detail, thinned, visible_shares
from spaceport_compressor.lod.mixture import gaussians_of, mixture_of
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.metrics import psnr
from spaceport_render.render import render


def looking_down(height):
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[2, 3] = height
    return Camera("photo", 96, 64, 60.0, 60.0, 48.0, 32.0, world_to_camera)


def two(gap=(0.0, 0.0, 0.0), opacity=0.3):
    """Two flat Gaussians, red and blue, `gap` metres apart."""
    sh = np.zeros((2, 1, 3), np.float32)
    sh[0, 0, 0] = sh[1, 0, 2] = 1.0
    return Gaussians(
        means=np.array([(0, 0, 0), gap], np.float32),
        quats=np.tile(np.array([0.9, 0.1, 0.3, 0.2], np.float32), (2, 1)),
        log_scales=np.tile(np.log(np.array([2.0, 1.0, 0.01], np.float32)), (2, 1)),
        opacity_logits=np.full(2, np.log(opacity / (1 - opacity)), np.float32),
        sh=sh,
    )


def test_each_level_has_half_the_gaussians_of_the_one_before(make_gaussians):
    model = make_gaussians(999)
    levels = levels_of_detail(model, [], coarsest=150, least_levels=2)
    assert levels[0] is model
    assert [len(level) for level in levels] == [999, 500, 250, 125]
    assert {level.sh.shape[1:] for level in levels} == {(16, 3)}
    assert all(np.isfinite(getattr(level, each.name)).all() for level in levels for each in fields(level))


def test_a_small_model_has_a_few_levels_too_but_never_an_empty_one(make_gaussians):
    assert [len(each) for each in levels_of_detail(make_gaussians(60), [], 100, 3)] == [60, 30, 15]
    assert [len(each) for each in levels_of_detail(make_gaussians(3), [], 100, 4)] == [3, 2, 1]
    assert [len(each) for each in levels_of_detail(make_gaussians(1), [], 100, 4)] == [1]


def test_the_same_model_gives_the_same_levels(make_gaussians):
    cameras = [looking_down(60.0)]
    one, other = (levels_of_detail(make_gaussians(2000), cameras, 400, 1) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert all(np.array_equal(getattr(a, each.name), getattr(b, each.name)) for each in fields(a))


def test_a_model_goes_through_a_mixture_unchanged(make_gaussians):
    # Given a model drawn from above
    model, camera = make_gaussians(500), looking_down(60.0)
    # When it is told as a sum and back, Then its picture is the same
    same = gaussians_of(mixture_of(model, np.ones(500)))
    assert psnr(render(same, camera), render(model, camera)) > 70


def test_two_in_one_place_become_one_like_them():
    # Given two of one place and form
    merged = gaussians_of(thinned(mixture_of(two(), np.ones(2)), 1))
    # Then what they become has that form, a colour between theirs, and hides more than one, less than both
    assert merged.means == pytest.approx(np.zeros((1, 3)), abs=1e-6)
    assert np.sort(merged.scales)[0] == pytest.approx([0.01, 1.0, 2.0], rel=1e-3)
    assert merged.sh[0, 0] == pytest.approx([0.5, 0, 0.5], abs=1e-6)
    assert 1 - 0.7**2 < merged.opacities[0] < 0.6


def test_two_apart_become_one_that_spans_both():
    merged = gaussians_of(thinned(mixture_of(two(gap=(6.0, 0, 0)), np.ones(2)), 1))
    assert merged.means[0] == pytest.approx([3, 0, 0], abs=1e-5)
    assert merged.scales.max() == pytest.approx((2**2 + 3**2) ** 0.5, rel=0.1)


def test_what_is_hidden_does_not_colour_what_is_seen():
    # Given a red Gaussian that photos see, and a blue one of which they see a twentieth
    merged = gaussians_of(thinned(mixture_of(two(), np.array([1.0, 0.05])), 1))
    assert merged.sh[0, 0, 0] == pytest.approx(1 / 1.05, abs=1e-4)


def test_what_lies_under_a_lid_is_told_as_hidden(make_gaussians):
    # Given a land, and a lid over half of it
    land = make_gaussians(500, degree=0)
    land.log_scales[:] -= 1.5
    under = np.abs(land.means[:, 0] + 20) < 3
    lid = replace(
        make_gaussians(400, degree=0, seed=1),
        opacity_logits=np.full(400, 8.0, np.float32),
        log_scales=np.full((400, 3), 1.2, np.float32),
    )
    lid.means[:] = np.random.default_rng(0).uniform([-30, -40, 12], [-10, 40, 13], (400, 3))
    arrays = [np.concatenate([getattr(land, each.name), getattr(lid, each.name)]) for each in fields(land)]
    # When the photo from above is asked
    shares = visible_shares(Gaussians(*arrays), [looking_down(60.0)])
    # Then what is under it counts least, and the open land more
    assert np.median(shares[:500][under]) == LEAST_VISIBLE
    assert np.median(shares[:500][land.means[:, 0] > 0]) > 0.3


def test_from_afar_half_the_gaussians_show_what_all_do(make_gaussians):
    # Given a land, and its picture from a height from which a Gaussian is about a pixel
    land, camera = make_gaussians(4000), looking_down(90.0)
    picture = render(land, camera)
    # When half and a quarter are drawn
    _, half, quarter = levels_of_detail(land, [camera], 1000, 1)
    shown, coarser = psnr(render(half, camera), picture), psnr(render(quarter, camera), picture)
    # Then they show it, and far better than the same number picked blindly and made larger to cover it
    chosen = np.random.default_rng(0).permutation(4000)
    picked = land.select(chosen[:2000])
    picked = replace(picked, log_scales=picked.log_scales + np.float32(np.log(2) / 2))
    assert shown > psnr(render(picked, camera), picture) + 6
    assert shown > coarser > 20
