"""The trainer on CUDA: learns, resumes, and its checkpoint goes on on a CPU."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
import torch

from spaceport.tuning import Densify, Resolution, Tuning
from spaceport_gaussian.contributions import contributions
from spaceport_gaussian.evaluation.likeness import mean_psnr
from spaceport_gaussian.job import restore, start
from spaceport_gaussian.material import Material, prepare
from spaceport_gaussian.training import TrainingRun, train
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.render import render
from spaceport_render.scene import Scene, View
from spaceport_render.ssim_loss import SsimTarget, ssim_loss

pytestmark = pytest.mark.gpu

if not torch.cuda.is_available():
    pytest.skip("gpu: torch sees no CUDA device", allow_module_level=True)
if importlib.util.find_spec("gsplat") is None:
    pytest.skip("gpu: gsplat is not installed", allow_module_level=True)

TUNING = Tuning(max_iterations=200, train_max_size=192, max_gaussians=3_000, sh_degree=2, holdout=4, seed=5)
WIDTH, HEIGHT, FOCAL = 192, 128, 160.0
REGULARISED = TUNING.model_copy(
    update={
        "dropout": 0.2,
        "mse_weight": 0.5,
        "robust": True,
        "anisotropy_weight": 0.01,
        "sh_weight": 0.1,
        "sh_by_views": True,
        "sh_masks": True,
        "antialiased": True,
    }
)
RELOCATED = TUNING.model_copy(
    update={"densify": Densify.RELOCATE, "position_noise": 5e5, "opacity_decay": True}
)
CORRECTED = TUNING.model_copy(
    update={
        "exposure": True,
        "pose_refinement": True,
        "averaging": True,
        "progressive_blur": True,
        "resolution": Resolution.FREQUENCY,
    }
)
CONSISTENT = TUNING.model_copy(update={"densify": Densify.CONSISTENT, "prune_insignificant": True})


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread() -> None:
    torch.set_num_threads(1)  # as the program does on a CPU: torch's threads would spin against the kernels'


@pytest.fixture(scope="module")
def survey() -> Scene:
    """Nine photos, 20 m above a ground of 2,000 blobs; every second one is an SfM point."""
    random = np.random.default_rng(7)
    count = 2_000
    means = random.uniform((-16, -12, -0.5), (16, 12, 0.5), (count, 3)).astype(np.float32)
    colors = random.uniform(0.2, 0.8, (count, 3)).astype(np.float32)
    ground = Gaussians(
        means=means,
        quats=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        log_scales=np.full((count, 3), math.log(0.6), np.float32),
        opacity_logits=np.full(count, 3.0, np.float32),
        sh=((colors - 0.5) / 0.28209479)[:, None],
    )
    views = []
    for index in range(9):
        world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
        position = [4.0 * (index % 3 - 1), 3.0 * (index // 3 - 1), 20.0]
        world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ position
        camera = Camera(f"{index}.png", WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, world_to_camera)
        pixels = np.round(np.clip(render(ground, camera), 0, 1) * 255).astype(np.uint8)
        views.append(View(camera, pixels))
    return Scene(tuple(views), means[::2], np.round(colors[::2] * 255).astype(np.uint8))


def trained(material: Material, run: TrainingRun, until: int | None = None) -> TrainingRun:
    train(
        run,
        material.photos,
        material.recipe,
        watcher=lambda *_: None,
        stop_requested=lambda: until is not None and run.iterations >= until,
    )
    return run


def held_out(material: Material, run: TrainingRun) -> float:
    return mean_psnr(run.splat, material.held.at(1.0))


def test_ssim_and_its_gradient_are_those_of_the_cpu():
    random = torch.Generator().manual_seed(0)
    photo = 0.5 + 0.02 * torch.randn(300, 400, 3, generator=random)  # little contrast: small variances
    image = photo + 0.01 * torch.randn(300, 400, 3, generator=random)
    values, gradients = {}, {}
    for device in ("cpu", "cuda"):
        leaf = image.to(device, copy=True).requires_grad_()
        loss = ssim_loss(leaf, SsimTarget.of(photo.to(device)))
        loss.backward()
        values[device], gradients[device] = loss.item(), leaf.grad.cpu()

    assert values["cuda"] == pytest.approx(values["cpu"], abs=1e-4)
    assert (gradients["cuda"] - gradients["cpu"]).norm() / gradients["cpu"].norm() < 1e-2


@pytest.mark.parametrize(
    "tuning",
    [
        *(TUNING, REGULARISED, CORRECTED, RELOCATED, CONSISTENT),
        TUNING.model_copy(update={"optimization_enabled": False}),
    ],
    ids=["ours", "regularised", "corrected", "relocated", "consistent", "plain"],
)
def test_both_devices_train_to_the_same_quality(tuning, survey):
    psnrs = {}
    for name in ("cpu", "cuda"):
        material = prepare(survey, tuning, torch.device(name))
        psnrs[name] = held_out(material, trained(material, start(material)))

    assert psnrs["cuda"] == pytest.approx(psnrs["cpu"], abs=0.5)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_run_begun_on_cuda_goes_on(device, survey, tmp_path):
    # Given a run on CUDA that was saved half-way, and one that was not broken
    material = prepare(survey, TUNING, torch.device("cuda"))
    unbroken = held_out(material, trained(material, start(material)))
    torch.save(trained(material, start(material), until=100).state_dict(), tmp_path / "run.pt")

    # When it is restored on either device and trained to its end
    material = prepare(survey, TUNING, torch.device(device))
    state = torch.load(tmp_path / "run.pt", map_location=device, weights_only=True)
    run = trained(material, restore(material, state))

    # Then it has learnt as much
    assert run.iterations == 200
    assert held_out(material, run) == pytest.approx(unbroken, abs=0.3)


def test_both_devices_find_the_same_contributions(survey):
    found = {}
    for name in ("cpu", "cuda"):
        material = prepare(survey, TUNING, torch.device(name))
        found[name] = contributions(start(material).splat, material.photos.at(1.0))

    # A footprint that only touches a photo's edge may be drawn by one device and not by the other.
    is_other = (found["cuda"].views.cpu() > 0) != (found["cpu"].views > 0)
    assert is_other.float().mean() < 0.005
    torch.testing.assert_close(found["cuda"].weights.cpu(), found["cpu"].weights, rtol=1e-2, atol=0.1)


@pytest.mark.parametrize(
    "tuning",
    [TUNING, REGULARISED, CORRECTED, RELOCATED],
    ids=["ours", "regularised", "corrected", "relocated"],
)
def test_an_iteration_waits_for_the_device_no_more_than_the_rasterizer_does(tuning, survey, capfd):
    """gsplat reads one number back in each iteration; a second wait idles the GPU while Python works."""
    material = prepare(survey, tuning, torch.device("cuda"))
    run = trained(material, start(material), until=115)  # past one edit; the next comes at 120

    torch.cuda.set_sync_debug_mode("warn")
    try:
        trained(material, run, until=118)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    # Said by C++, not by Python's warnings.
    waits = capfd.readouterr().err.count("called a synchronizing CUDA operation")
    assert 1 <= waits <= 3
