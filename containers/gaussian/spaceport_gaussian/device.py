"""What a process trains on."""

from __future__ import annotations

import torch

from spaceport_gaussian.distributed import own_device


def prepared_device() -> torch.device:
    """The GPU of this process, or the CPU, with no more threads of torch's than do good."""
    device = own_device()
    if device.type == "cpu":
        # torch's OpenMP threads spin while they wait, which takes the cores from the rasterizer's own
        # threads: seen 19 times slower on two busy cores. What torch does here is small anyway.
        torch.set_num_threads(1)
    return device
