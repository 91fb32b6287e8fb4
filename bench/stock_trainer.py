"""gsplat's own trainers, as baselines: its strategies, rates and defaults, on photos in the GPU's memory.

The loop is after `examples/simple_trainer.py` of gsplat 1.5.3 (`default` and `mcmc`), with two changes that
are to its gain: photos are read once, and it is given its best checkpoint by the held-out photos, which a job
can't know. What it measures is not counted in its seconds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from spaceport.quality import ViewNumbers
from spaceport_gaussian.evaluation.likeness import judge
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat
from spaceport_render.camera import Camera
from spaceport_render.scene import Scene, View
from spaceport_render.ssim_loss import ssim_loss

SH_C0 = 0.28209479177387814
CUDA = torch.device("cuda")
TEST_EVERY, TEST_EVERY_LATE, LATE = 500, 5_000, 10_000
NAMES = {
    "means": "means",
    "quats": "quats",
    "scales": "log_scales",
    "opacities": "opacity_logits",
    "sh0": "sh_dc",
    "shN": "sh_rest",
}
RATES = {
    "means": 1.6e-4,  # times the scene's scale
    "scales": 5e-3,
    "opacities": 5e-2,
    "quats": 1e-3,
    "sh0": 2.5e-3,
    "shN": 2.5e-3 / 20,
}


@dataclass(frozen=True)
class Stock:
    """What tells gsplat's two trainers apart.

    Attributes:
        max_iterations: the recipe's length; the decay of the means' rate is stretched over it.
    """

    strategy: str
    initial_opacity: float
    initial_scale: float
    opacity_weight: float = 0.0
    scale_weight: float = 0.0
    max_iterations: int = 30_000
    sh_degree: int = 3
    ssim_weight: float = 0.2


STOCK = {
    "gsplat-default": Stock("default", 0.1, 1.0),
    "gsplat-mcmc": Stock("mcmc", 0.5, 0.1, opacity_weight=0.01, scale_weight=0.01),
}


@dataclass
class Checkpoint:
    """What a held-out test found after `iterations`."""

    iterations: int
    seconds: float
    gaussians: int
    views: list[ViewNumbers]

    @property
    def psnr(self) -> float:
        return fmean(view.psnr for view in self.views)


@dataclass
class StockRun:
    """A finished run.

    Attributes:
        training, held: the photos, at the size that the trainer sees the scene in.
        best_splat: of the checkpoint with the highest held-out PSNR.
        seconds: wall time of all iterations, without the tests.
    """

    training: list[Photo]
    held: list[Photo]
    best_splat: Splat
    seconds: float = 0.0
    checkpoints: list[Checkpoint] = field(default_factory=list)

    @property
    def best(self) -> Checkpoint:
        return max(self.checkpoints, key=lambda checkpoint: checkpoint.psnr)


def train_stock(
    stock: Stock,
    scene: Scene,
    held_names: Sequence[str],
    *,
    seed: int,
    last_iteration: int | None = None,
    device: torch.device = CUDA,
) -> StockRun:
    """Train on all views of `scene` but `held_names`, up to `last_iteration` of the recipe's iterations."""
    from gsplat import rasterization  # noqa: PLC0415 - needs CUDA

    torch.manual_seed(seed)
    scene = normalised(scene)
    training = [Photo.of_view(v, device) for v in scene.views if v.camera.name not in held_names]
    held = [Photo.of_view(v, device) for v in scene.views if v.camera.name in held_names]
    scale = 1.1 * camera_spread([photo.camera for photo in training])
    params = initial_parameters(stock, scene, device)
    optimizers = {
        name: torch.optim.Adam(
            [{"params": params[name], "lr": rate * (scale if name == "means" else 1.0), "name": name}],
            eps=1e-15,
            fused=True,
        )
        for name, rate in RATES.items()
    }
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizers["means"], 0.01 ** (1 / stock.max_iterations))
    strategy, state = make_strategy(stock, scale)
    strategy.check_sanity(params, optimizers)
    order: list[int] = []
    run = StockRun(training, held, splat_of(params))
    began, testing = time.perf_counter(), 0.0
    for step in range(last_iteration or stock.max_iterations):
        order = order or torch.randperm(len(training)).tolist()
        photo = training[order.pop()]
        degree = min(step // 1000, stock.sh_degree)
        image, _, info = rasterization(
            means=params["means"],
            quats=params["quats"],
            scales=torch.exp(params["scales"]),
            opacities=torch.sigmoid(params["opacities"]),
            colors=torch.cat([params["sh0"], params["shN"]], 1),
            viewmats=photo.world_to_camera[None],
            Ks=photo.intrinsics[None],
            width=photo.camera.width,
            height=photo.camera.height,
            packed=False,
            sh_degree=degree,
            near_plane=0.01,
            far_plane=1e10,
        )
        strategy.step_pre_backward(params, optimizers, state, step, info)
        target = photo.target
        loss = torch.lerp((image[0] - target).abs().mean(), ssim_loss(image[0], target), stock.ssim_weight)
        if stock.opacity_weight:
            loss = loss + stock.opacity_weight * torch.sigmoid(params["opacities"]).mean()
        if stock.scale_weight:
            loss = loss + stock.scale_weight * torch.exp(params["scales"]).mean()
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay.step()
        if stock.strategy == "mcmc":
            strategy.step_post_backward(params, optimizers, state, step, info, lr=decay.get_last_lr()[0])
        else:
            strategy.step_post_backward(params, optimizers, state, step, info, packed=False)
        if (step + 1) % (TEST_EVERY if step < LATE else TEST_EVERY_LATE) == 0:
            torch.cuda.synchronize()
            stopped = time.perf_counter()
            remember(run, step + 1, stopped - began - testing, splat_of(params))
            testing += time.perf_counter() - stopped
    torch.cuda.synchronize()
    run.seconds = time.perf_counter() - began - testing
    return run


def make_strategy(stock: Stock, scale: float) -> tuple[object, dict[str, object]]:
    """gsplat's strategy with its defaults, and its state."""
    from gsplat.strategy import DefaultStrategy, MCMCStrategy  # noqa: PLC0415 - needs CUDA

    if stock.strategy == "mcmc":
        strategy = MCMCStrategy(cap_max=1_000_000)
        return strategy, strategy.initialize_state()
    strategy = DefaultStrategy()
    return strategy, strategy.initialize_state(scene_scale=scale)


def remember(run: StockRun, iterations: int, seconds: float, splat: Splat) -> None:
    checkpoint = Checkpoint(iterations, seconds, len(splat), judge(splat, run.held))
    if not run.checkpoints or checkpoint.psnr > run.best.psnr:
        run.best_splat = splat
    run.checkpoints.append(checkpoint)


def normalised(scene: Scene) -> Scene:
    """`scene` at the size that gsplat's trainer brings every scene to: its step sizes count on it.

    As `datasets/normalize.py: similarity_from_cameras`: centred on the point that the cameras look at, with a
    median distance of the cameras from it of 1. Its rotation changes nothing and is left out.
    """
    cameras = [view.camera for view in scene.views]
    places = np.array([camera.position for camera in cameras])
    ahead = np.array([camera.world_to_camera[2, :3] for camera in cameras])
    nearest = places - (ahead * places).sum(axis=1, keepdims=True) * ahead
    centre = np.median(nearest, axis=0)
    size = 1.0 / float(np.median(np.linalg.norm(places - centre, axis=1)))
    views = tuple(View(_moved(view.camera, centre, size), view.pixels) for view in scene.views)
    return Scene(views, ((scene.points - centre) * size).astype(np.float32), scene.colors)


def _moved(camera: Camera, centre: np.ndarray, size: float) -> Camera:
    pose = camera.world_to_camera.copy()
    pose[:3, 3] = size * (pose[:3, 3] + pose[:3, :3] @ centre)
    return replace(camera, world_to_camera=pose)


def camera_spread(cameras: Sequence[Camera]) -> float:
    """The distance of the outermost camera from their middle."""
    places = np.array([camera.position for camera in cameras])
    return float(np.linalg.norm(places - places.mean(axis=0), axis=1).max())


def initial_parameters(stock: Stock, scene: Scene, device: torch.device) -> torch.nn.ParameterDict:
    """As `create_splats_with_optimizers`."""
    count = len(scene.points)
    distances, _ = cKDTree(scene.points).query(scene.points, k=4)
    spacing = np.sqrt((distances[:, 1:] ** 2).mean(axis=1)).clip(1e-6)
    scales = torch.tensor(np.log(spacing * stock.initial_scale), dtype=torch.float32)
    sh = torch.zeros(count, (stock.sh_degree + 1) ** 2, 3)
    sh[:, 0] = (torch.tensor(scene.colors) / 255.0 - 0.5) / SH_C0
    values = {
        "means": torch.tensor(scene.points),
        "scales": scales[:, None].repeat(1, 3),
        "quats": torch.rand(count, 4),
        "opacities": torch.logit(torch.full((count,), stock.initial_opacity)),
        "sh0": sh[:, :1],
        "shN": sh[:, 1:],
    }
    return torch.nn.ParameterDict({name: torch.nn.Parameter(v) for name, v in values.items()}).to(device)


def splat_of(params: torch.nn.ParameterDict) -> Splat:
    """A copy as our renderer takes it."""
    tensors: dict[str, Tensor] = {ours: params[theirs] for theirs, ours in NAMES.items()}
    return Splat.of(tensors)
