"""Where does an iteration of training spend its time?

    python bench/iteration_time.py [--size 100000:1024 ...] [--iterations 300]

Trains a made scene of so many Gaussians on photos of so many pixels on the longer side, by `balanced`'s
recipe with all harmonics and between two edits: as it is delivered, and by what it came from (torch's loss,
regularisation and Adam in place of our Triton kernels; `gsplat.rasterization` in place of its steps).

`ms` is an iteration's time with nobody waiting for the device, the median of blocks of 20. `GPU busy` and
`launches` come from torch's profiler: where `ms` is far above `GPU busy`, the GPU waits for Python. The parts
are timed one by one, the device waited for after each, so their sum is above `ms`; the rest is Python's.
On a CPU only the first two variants are measured, and there is no profile.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import torch
from machine import machine
from PIL import Image
from torch import Tensor

from spaceport.tuning import Tuning
from spaceport_gaussian.job import start
from spaceport_gaussian.losses import PhotometricLoss
from spaceport_gaussian.material import Material, prepare
from spaceport_gaussian.optimisation import GaussianOptimiser
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.harmonics import HarmonicsRamp
from spaceport_gaussian.policies.pull import PullStatistics
from spaceport_gaussian.policies.regularisation import Regularisation
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training import TrainingRun, train
from spaceport_render import triton_kernels
from spaceport_render.camera import Camera
from spaceport_render.scene import Scene, View

PHOTOS = 6
HEIGHT_M = 30.0
WARM_UP = 40
BLOCK = 20  # iterations
PROFILED = 20
PARTS = {
    "render": (Splat, "render"),
    "loss": (PhotometricLoss, "__call__"),
    "regularisation": (Regularisation, "loss"),
    "backward": (Tensor, "backward"),
    "statistics": (PullStatistics, "observe"),
    "optimiser": (GaussianOptimiser, "step"),
}
SIZES = ("20000:1024", "100000:1024", "280000:1024", "100000:1600")


def made_scene(count: int, width: int) -> Scene:
    """Photos of waves of colour, 30 m above a ground of `count` points that covers them."""
    random = np.random.default_rng(0)
    height = width * 9 // 16
    views = []
    for index in range(PHOTOS):
        world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
        world_to_camera[:3, 3] = [-2.0 * (index % 3 - 1), 2.0 * (index // 3), HEIGHT_M]
        camera = Camera(f"{index}.png", width, height, width, width, width / 2, height / 2, world_to_camera)
        coarse = Image.fromarray(random.integers(0, 256, (27, 48, 3), dtype=np.uint8))
        views.append(View(camera, np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))))
    points = random.uniform((-17, -11, -0.5), (17, 13, 0.5), (count, 3)).astype(np.float32)
    return Scene(tuple(views), points, random.integers(0, 256, (count, 3), dtype=np.uint8))


def material_of(count: int, width: int, device: torch.device, sh_every: int) -> Material:
    """`count` Gaussians that stay as many, all harmonics from the second iteration on, and no tests."""
    tuning = Tuning(
        train_max_size=width,
        max_gaussians=count,
        max_iterations=200_000,
        holdout=0,
        progressive_resolution=False,
        psnr_plateau_termination=False,
        sh_every=sh_every,
    )
    material = prepare(made_scene(count, width), tuning, device)
    recipe = material.recipe
    never = Cadence(start=1.0, stop=1.0, every=1.0)
    return replace(
        material,
        recipe=replace(
            recipe,
            harmonics=HarmonicsRamp(tuning.sh_degree, every=1e-9),
            densification=replace(recipe.densification, cadence=never),
            stopping=replace(recipe.stopping, test_every=sys.maxsize),
            seeding=None,
            surround=None,
        ),
    )


def go_on(run: TrainingRun, material: Material, iterations: int) -> None:
    end = run.iterations + iterations
    train(
        run,
        material.photos,
        material.recipe,
        watcher=lambda *_: None,
        stop_requested=lambda: run.iterations >= end,
    )


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def block_times(run: TrainingRun, material: Material, iterations: int) -> list[float]:
    """Milliseconds an iteration, block by block."""
    times = []
    for _ in range(max(1, iterations // BLOCK)):
        wait(material.device)
        began = time.perf_counter()
        go_on(run, material, BLOCK)
        wait(material.device)
        times.append((time.perf_counter() - began) * 1e3 / BLOCK)
    return times


@contextmanager
def parts_timed(device: torch.device) -> Iterator[dict[str, float]]:
    """The seconds that each of PARTS took, waiting for the device included."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable) -> Callable:
        def call(*given: object, **named: object) -> object:
            wait(device)
            began = time.perf_counter()
            result = function(*given, **named)
            wait(device)
            spent[name] += time.perf_counter() - began
            return result

        return call

    originals = {name: getattr(owner, method) for name, (owner, method) in PARTS.items()}
    for name, (owner, method) in PARTS.items():
        setattr(owner, method, timed(name, originals[name]))
    try:
        yield spent
    finally:
        for name, (owner, method) in PARTS.items():
            setattr(owner, method, originals[name])


def profile(run: TrainingRun, material: Material) -> tuple[float, float]:
    """Milliseconds an iteration that the GPU computes, and kernels it is asked for."""
    activities = [torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as seen:
        go_on(run, material, PROFILED)
        torch.cuda.synchronize()
    kernels = [
        event
        for event in seen.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
    ]
    busy = sum(event.time_range.elapsed_us() for event in kernels)
    return busy / 1e3 / PROFILED, len(kernels) / PROFILED


@contextmanager
def by_torch() -> Iterator[None]:
    """Without Triton."""
    with mock.patch.object(triton_kernels, "usable_on", return_value=False):
        yield


@contextmanager
def by_torch_and_rasterization() -> Iterator[None]:
    """Without Triton, and with gsplat's one function for all."""
    from gsplat import rasterization  # noqa: PLC0415 - only where there is CUDA

    from spaceport_render import gsplat_rasterizer  # noqa: PLC0415

    def rasterize(*given, sh_degree, background, antialiased):
        *gaussians, view, lens, width, height = given
        images, alphas, info = rasterization(
            *gaussians,
            *(view[None], lens[None], width, height),
            sh_degree=sh_degree,
            packed=False,
            absgrad=True,
            rasterize_mode="antialiased" if antialiased else "classic",
        )
        means2d = info["means2d"]
        if means2d.requires_grad:
            means2d.retain_grad()
        radii = info["radii"][0].amax(dim=-1)
        return images[0], alphas[0, ..., 0], radii, lambda: (means2d.grad[0], means2d.absgrad[0])

    with by_torch(), mock.patch.object(gsplat_rasterizer, "rasterize_with_gsplat", rasterize):
        yield


@contextmanager
def as_delivered() -> Iterator[None]:
    yield


VARIANTS = {
    "as delivered": (as_delivered, 1),
    "sh_every=16": (as_delivered, 16),
    "no Triton": (by_torch, 1),
    "no Triton, gsplat.rasterization": (by_torch_and_rasterization, 1),
}


def row(variant: str, count: int, width: int, device: torch.device, iterations: int) -> str:
    patched, sh_every = VARIANTS[variant]
    with patched():
        material = material_of(count, width, device, sh_every)
        run = start(material)
        go_on(run, material, WARM_UP)
        times = block_times(run, material, iterations)
        busy, launches = profile(run, material) if device.type == "cuda" else (0.0, 0.0)
        with parts_timed(device) as spent:
            whole = statistics.fmean(block_times(run, material, 2 * BLOCK))
    parts = [spent[name] * 1e3 / (2 * BLOCK) for name in PARTS]
    cells = [f"{statistics.median(times):.2f}", f"{busy:.2f}", f"{launches:.0f}"]
    cells += [f"{part:.2f}" for part in (*parts, whole - sum(parts))]
    return f"| {variant} | {len(run.splat):,} | {width} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", nargs="+", default=SIZES, metavar="GAUSSIANS:PIXELS", dest="sizes")
    parser.add_argument("--iterations", type=int, default=300)
    chosen = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)  # as the trainer does
    name = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    print(f"{machine('torch', 'gsplat', 'triton')}, {name}", flush=True)
    columns = ("variant", "Gaussians", "pixels", "ms", "GPU busy", "launches", *PARTS, "rest")
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|", flush=True)
    for size in chosen.sizes:
        count, width = map(int, size.split(":"))
        for variant in VARIANTS if device.type == "cuda" else list(VARIANTS)[:2]:
            print(row(variant, count, width, device, chosen.iterations), flush=True)


if __name__ == "__main__":
    main()
