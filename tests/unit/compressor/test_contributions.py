"""How much of the photos each Gaussian paints."""

from dataclasses import replace

import numpy as np
import pytest

from spaceport_compressor.judging.contributions import contributions
from spaceport_render.camera import Camera
from spaceport_render.render import render


@pytest.fixture
def cameras():
    """Two, 60 m up, that look down on neighbouring places."""

    def over(east):
        world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
        world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (east, 0.0, 60.0)
        return Camera("photo", 96, 64, 60.0, 60.0, 48.0, 32.0, world_to_camera)

    return [over(-20.0), over(25.0)]


def test_all_together_paint_what_is_not_background(make_gaussians, cameras):
    # Given a model, and how much of each picture it hides
    model = make_gaussians(500)
    white = replace(model, sh=np.full((500, 1, 3), 0.5 / 0.28209479177387814, np.float32))
    hidden = sum(float(render(white, camera)[..., 0].sum()) for camera in cameras)
    # When the Gaussians' parts are counted, Then they add up to that
    found = contributions(model, cameras)
    assert found.pixels.sum() == pytest.approx(hidden, rel=1e-4)


def test_what_one_paints_is_what_its_colour_changes(make_gaussians, cameras):
    # Given a model of one grey, and the same with one Gaussian brighter
    model = make_gaussians(500, degree=0)
    model = replace(model, sh=np.zeros_like(model.sh))
    found = contributions(model, cameras)
    one = int(np.argmax(found.most))
    brighter = model.sh.copy()
    brighter[one] += 1.0 / 0.28209479177387814
    # When both are drawn, Then the pictures differ by the Gaussian's pixels
    after = replace(model, sh=brighter)
    gains = [float((render(after, each) - render(model, each))[..., 0].sum()) for each in cameras]
    assert found.pixels[one] == pytest.approx(sum(gains), rel=1e-3)
    assert found.most[one] == pytest.approx(max(gains), rel=1e-3)


def test_what_no_photo_shows_paints_nothing(make_gaussians, cameras):
    # Given a Gaussian behind the cameras, one far aside, and one under a lid
    model = make_gaussians(500)
    means, log_scales = model.means.copy(), model.log_scales.copy()
    means[:3] = [(0, 0, 200), (900, 0, 0), (-20, 0, -30)]
    log_scales[:3] = -1.0
    means[3:23], log_scales[3:23] = (-20, 0, -20), 1.0
    logits = model.opacity_logits.copy()
    logits[3:23] = 9.0
    found = contributions(
        replace(model, means=means, log_scales=log_scales, opacity_logits=logits), cameras[:1]
    )
    assert not found.pixels[:3].any()
    assert not found.photos[:3].any()
    assert found.photos.max() == 1
