"""A survey so small that training it takes seconds: a patch of coloured ground seen from above."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dense_folder import write_dense
from numpy.typing import NDArray

from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.render import render
from spaceport_render.scene import Scene, View

WIDTH, HEIGHT, FOCAL = 96, 64, 80.0
SH_C0 = 0.28209479  # the constant basis function, 1 / (2 √π)


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    torch.set_num_threads(1)  # as the program does


@pytest.fixture(scope="session")
def ground() -> Gaussians:
    """800 blobs, which a splat of the survey should come to be."""
    random = np.random.default_rng(7)
    count = 800
    means = np.column_stack(
        [random.uniform(-16, 16, count), random.uniform(-12, 12, count), random.uniform(-0.5, 0.5, count)]
    ).astype(np.float32)
    waves = 0.5 + 0.25 * np.sin(means[:, :1] * [0.5, 0.8, 1.1] + means[:, 1:2] * [0.9, 0.4, 0.7])
    colors = (waves + random.uniform(-0.15, 0.15, (count, 3))).astype(np.float32)
    return Gaussians(
        means=means,
        quats=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        log_scales=np.full((count, 3), np.log(0.9), np.float32),
        opacity_logits=np.full(count, 3.0, np.float32),
        sh=((colors - 0.5) / SH_C0)[:, None],
    )


@pytest.fixture(scope="session")
def survey(ground: Gaussians) -> Scene:
    """Nine photos of 96 × 64 pixels, 20 m above the ground; every second of its blobs is an SfM point."""
    grid = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    cameras = [camera_above(f"{row + 1}{column + 1}.png", 4.0 * column, 3.0 * row) for row, column in grid]
    views = tuple(View(camera, photo_of(ground, camera)) for camera in cameras)
    colors = 0.5 + SH_C0 * ground.sh[::2, 0]
    return Scene(views, ground.means[::2], np.round(colors * 255).astype(np.uint8))


@pytest.fixture(scope="session")
def half_blind_survey(ground: Gaussians) -> Scene:
    """Three photos taken half a metre apart; SfM found points on a third of the ground only."""
    cameras = [camera_above(f"{index}.png", 0.5 * index, 0.0) for index in range(3)]
    views = tuple(View(camera, photo_of(ground, camera)) for camera in cameras)
    points = np.flatnonzero(ground.means[:, 0] < -4)
    colors = 0.5 + SH_C0 * ground.sh[points, 0]
    return Scene(views, ground.means[points], np.round(colors * 255).astype(np.uint8))


def photo_of(ground: Gaussians, camera: Camera) -> NDArray[np.uint8]:
    return np.round(np.clip(render(ground, camera), 0, 1) * 255).astype(np.uint8)


def camera_above(name: str, x: float, y: float) -> Camera:
    """A camera 20 m above (x, y) that looks straight down."""
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ [x, y, 20.0]
    return Camera(name, WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, world_to_camera)


@pytest.fixture(scope="session")
def dense_folder(survey: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey as SfM hands it over."""
    return write_dense(survey, tmp_path_factory.mktemp("dense"))
