import subprocess
import sys

import numpy as np
import torch

from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.rasterize import rasterize
from spaceport_render.render import render


def splat(count: int) -> Gaussians:
    rng = np.random.default_rng(0)

    def values(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Gaussians(
        means=values(count, 3),
        quats=values(count, 4),
        log_scales=values(count, 3) - 2,
        opacity_logits=values(count),
        sh=values(count, 9, 3),
    )


WORLD_TO_CAMERA = np.eye(4)
WORLD_TO_CAMERA[2, 3] = 5
CAMERA = Camera("a.jpg", 50, 40, fx=45, fy=46, cx=24, cy=21, world_to_camera=WORLD_TO_CAMERA)


def test_renders_what_training_sees():
    gaussians = splat(200)
    image = render(gaussians, CAMERA, background=(0.1, 0.2, 0.3))
    seen = rasterize(
        *(
            torch.from_numpy(array)
            for array in (
                gaussians.means,
                gaussians.quats,
                gaussians.scales,
                gaussians.opacities,
                gaussians.sh,
            )
        ),
        torch.from_numpy(CAMERA.world_to_camera),
        torch.from_numpy(CAMERA.intrinsics),
        50,
        40,
        sh_degree=2,
        background=(0.1, 0.2, 0.3),
    )
    assert image.shape == (40, 50, 3)
    assert image.dtype == np.float32
    assert np.array_equal(image, seen.image.numpy())
    assert np.ptp(image) > 0.3


def test_read_only_and_strided_arrays_are_taken_as_they_come():
    gaussians = splat(20)
    every_second = gaussians.select(np.arange(0, 20, 2))
    strided = Gaussians(
        means=gaussians.means[::2],
        quats=gaussians.quats[::2],
        log_scales=gaussians.log_scales[::2],
        opacity_logits=gaussians.opacity_logits[::2],
        sh=gaussians.sh[::2],
    )
    strided.means.flags.writeable = False
    assert np.array_equal(render(strided, CAMERA), render(every_second, CAMERA))


def test_a_red_ball_is_red_where_it_is():
    ball = Gaussians(
        means=np.array([[0.5, -0.4, 0]], np.float32),
        quats=np.array([[1, 0, 0, 0]], np.float32),
        log_scales=np.full((1, 3), np.log(0.1), np.float32),
        opacity_logits=np.array([5], np.float32),
        sh=np.array([[[0.5 / 0.28209479, -0.5 / 0.28209479, -0.5 / 0.28209479]]], np.float32),
    )
    image = render(ball, CAMERA)
    row, column = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
    # x right, y down: fx · 0.5 / 5 + cx, fy · -0.4 / 5 + cy; pixel centres are at halves.
    assert (column, row) == (int(45 * 0.1 + 24), int(46 * -0.08 + 21))
    assert image[..., 0].max() > 0.9
    assert image[..., 1:].max() < 1e-6


def test_torch_is_not_needed():
    program = "import sys, spaceport_render.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
