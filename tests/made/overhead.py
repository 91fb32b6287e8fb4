"""Made splats, cameras that look straight down on them, and policies asked about them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from spaceport_gaussian.photos import Photo, Vantage
from spaceport_gaussian.policies.policy import Situation
from spaceport_gaussian.policies.pull import PullStatistics
from spaceport_gaussian.splat import Splat
from spaceport_render.camera import Camera

CPU = torch.device("cpu")
WIDTH, HEIGHT, FOCAL, ABOVE = 96, 64, 80.0, 20.0


def balls(
    means: Sequence[Sequence[float]] | torch.Tensor,
    radius: float | Sequence[float] | torch.Tensor = 0.5,
    opacity: float | Sequence[float] | torch.Tensor = 0.9,
) -> Splat:
    """Grey Gaussians at `means`, metres, of such standard deviations and opacities."""
    places = torch.as_tensor(means, dtype=torch.float32)
    count = len(places)
    radii = torch.as_tensor(radius, dtype=torch.float32).expand(count)
    return Splat.of(
        {
            "means": places,
            "quats": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
            "log_scales": radii.log()[:, None].repeat(1, 3),
            "opacity_logits": torch.logit(torch.as_tensor(opacity, dtype=torch.float32)).expand(count),
            "sh_dc": torch.zeros(count, 1, 3),
            "sh_rest": torch.zeros(count, 3, 3),
        }
    )


def above(x: float, y: float) -> Vantage:
    """A camera 20 m above (x, y): a metre on the ground is 4 pixels."""
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ [x, y, ABOVE]
    name = f"{x} {y}.png"
    camera = Camera(name, WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, world_to_camera)
    return Vantage.of_camera(camera, CPU)


def pixel(at: Vantage, x: float, y: float) -> tuple[int, int]:
    """Row and column where `at` sees the ground's (x, y)."""
    place = at.world_to_camera @ torch.tensor([x, y, 0.0, 1.0])
    column, row = (at.intrinsics @ place[:3] / place[2])[:2].tolist()
    return int(row), int(column)


@torch.no_grad()
def photo_of(splat: Splat, at: Vantage) -> Photo:
    pixels = (splat.render(at).image.clamp(0, 1) * 255).round().to(torch.uint8)
    return Photo(at.camera, at.world_to_camera, at.intrinsics, pixels)


def situation_of(
    splat: Splat, photos: Sequence[Photo] = (), progress: float = 0.5, initial_count: int | None = None
) -> Situation:
    """In the midst of 1,000 iterations in a scene of 10 m, all Gaussians pulled alike."""
    return Situation(
        splat=splat,
        pull=PullStatistics(torch.ones(len(splat)), torch.ones(len(splat))),
        photos=photos,
        sh_degree=1,
        iterations=round(1000 * progress),
        max_iterations=1000,
        initial_count=initial_count or len(splat),
        extent=10.0,
        generator=torch.Generator().manual_seed(0),
    )
