"""How many Gaussians there is memory for: on the GPU, or in the container or machine without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spaceport.errors import UserError
from spaceport_gaussian.policies.resolution import SCALES
from spaceport_gaussian.recipe import LEAST_BUDGET
from spaceport_render.memory import available_bytes
from spaceport_render.scene import View


@dataclass(frozen=True)
class Need:
    """The bytes that training takes at its peak, beside the photos that it holds.

    Attributes:
        per_gaussian: parameters, gradients, moments, statistics, and the rasterizer's copies and tile lists.
        per_pixel: of one photo: its render, loss and their gradients.
        fixed: the rest.
    """

    per_gaussian: int
    per_pixel: int
    fixed: int


# Both on an H200, 2026-11-23. Brighton's peaks (docs/training.md), less the photos: 1,665 MiB of 1,000,000
# Gaussians and 723 MiB of 275,571, in photos of 1.37 Mpx, make 1,360 B a Gaussian. Made scenes
# (`bench/training_memory.py`): 72, 209 and 483 MiB of 20,000 in photos of 0.06, 0.52 and 1.44 Mpx make 312 B
# a pixel.
ON_CUDA = Need(per_gaussian=1_360, per_pixel=312, fixed=50 << 20)
# `bench/training_memory.py`, 2 cores of an Intel Xeon VM, 2026-11-23: 20,000 to 300,000 Gaussians in photos
# of 0.06 to 1.44 Mpx; no cell took more than 1.06 of this.
ON_CPU = Need(per_gaussian=1_760, per_pixel=240, fixed=10 << 20)
# Scenes differ in how far their Gaussians overlap, allocators in what they lose between blocks.
MARGIN = 1.25
PYRAMID_SHARE = sum(scale * scale for scale in SCALES)  # of the photos' bytes, for all sizes of the schedule


def affordable_gaussians(wanted: int, views: Sequence[View], device: torch.device) -> int:
    """`wanted`, or as many as there is memory for: fewer Gaussians beat a dead job.

    Raises:
        UserError: `gpu_too_small` or `machine_too_small`, where that would be too few to show anything.
    """
    pixels = max(view.pixels.shape[0] * view.pixels.shape[1] for view in views)
    photos = sum(view.pixels.nbytes for view in views)
    free = free_bytes(device)
    fitting = gaussians_that_fit(free, photos, pixels, ON_CUDA if device.type == "cuda" else ON_CPU)
    if fitting < min(wanted, LEAST_BUDGET):
        raise too_small(device, free, min(wanted, LEAST_BUDGET))
    return min(wanted, fitting)


def free_bytes(device: torch.device) -> int:
    """What is left on the GPU, or on the machine or container where `device` is a CPU."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()


def gaussians_that_fit(free: int, photo_bytes: int, pixels: int, need: Need) -> int:
    """How many Gaussians fit into `free` bytes beside photos of `photo_bytes` in all and `pixels` each."""
    left = free / MARGIN - PYRAMID_SHARE * photo_bytes - need.per_pixel * pixels - need.fixed
    return max(0, int(left / need.per_gaussian))


def too_small(device: torch.device, free: int, gaussians: int) -> UserError:
    """That `free` bytes on `device` do not hold the photos and `gaussians`."""
    need = f"too little for the photos and {gaussians} Gaussians."
    if device.type == "cuda":
        return UserError(
            "gpu_too_small",
            f"The GPU has {free / 2**20:.0f} MiB free, {need}",
            "Use a larger GPU, end what else runs on it, or lower train_max_size.",
        )
    return UserError(
        "machine_too_small",
        f"{free / 2**20:.0f} MiB of memory are left here, {need}",
        "Give the machine or container more memory, end what else runs on it, or lower train_max_size.",
    )
