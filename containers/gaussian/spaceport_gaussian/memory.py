"""How many Gaussians the device has memory for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from spaceport.errors import UserError
from spaceport_gaussian.policies.resolution import SCALES
from spaceport_gaussian.recipe import LEAST_BUDGET
from spaceport_render.scene import View

# Parameters, gradients, two moments and the rasterizer's own copies: 59 floats each are 1.2 KB;
# with what an edit copies, twice that.
BYTES_PER_GAUSSIAN = 2_400
MEMORY_SHARE = 0.6  # of what the photos leave; the rest is for images and tile lists
PYRAMID_SHARE = sum(scale * scale for scale in SCALES)  # of the photos' bytes, for all sizes of the schedule


def affordable_gaussians(wanted: int, views: Sequence[View], device: torch.device) -> int:
    """`wanted`, or as many as the CUDA device has memory for: fewer Gaussians beat a dead job.

    Raises:
        UserError: `gpu_too_small`, where that would be too few to show anything.
    """
    if device.type != "cuda":
        return wanted
    free, _ = torch.cuda.mem_get_info(device)
    return gaussians_that_fit(wanted, free, sum(view.pixels.nbytes for view in views))


def gaussians_that_fit(wanted: int, free: int, photo_bytes: int) -> int:
    """`wanted`, or as many as fit into `free` bytes beside photos of `photo_bytes` at full size.

    Raises:
        UserError: `gpu_too_small`.
    """
    fitting = int((free - PYRAMID_SHARE * photo_bytes) * MEMORY_SHARE / BYTES_PER_GAUSSIAN)
    if fitting < min(wanted, LEAST_BUDGET):
        raise UserError(
            "gpu_too_small",
            f"The GPU has {free / 2**20:.0f} MiB free, too little for {photo_bytes / 2**20:.0f} MiB of "
            f"photos and {min(wanted, LEAST_BUDGET)} Gaussians.",
            "Use a larger GPU, end what else runs on it, or lower train_max_size.",
        )
    return min(wanted, fitting)
